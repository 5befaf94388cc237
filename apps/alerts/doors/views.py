"""The doors themselves: key, limit, body, what it says, then the writes; and one form of refusal for each kind.

A sender that is told 4xx gives up, so whatever is our own trouble is 503 with Retry-After: it comes again, and nothing
is lost. Everything is committed before a door answers 2xx.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from apps.alerts.doors import alertmanager, events_v2, mapped
from apps.alerts.doors.events import Event, Heard
from apps.alerts.doors.events_v2 import InvalidEvent
from apps.alerts.doors.keys import KEY_LENGTH, Admitted, admit, note_rejected, note_truncated
from apps.alerts.doors.once import idempotency_key, take_once
from apps.alerts.doors.taking import OutOfTime, Taken, take, take_change
from apps.alerts.models import Integration
from apps.core import jsontext, problems
from apps.core.refusal import Refused, TooManyLarge

log = structlog.get_logger("portal.doors")
# Of each web process. Each holds a connection of the pool, which pages for people need as well.
AT_ONCE = 4
PATIENCE_S = 2.0
RETRY_S = 15
_places = threading.BoundedSemaphore(AT_ONCE)


class Busy(Exception):
    """All places are taken: 503, and the sender comes again."""


class NotAdmitted(Refused):
    """No such key at this door. Unknown, revoked and switched off are told alike."""

    status = 404


class TooLarge(Refused):
    """413."""

    status = 413


class TooMany(Refused):
    """The key's limit: 429, but where the sender would give up on that."""

    status = 429

    def __init__(self, wait_s: int, status: int = 429) -> None:
        super().__init__("rate_limited", "this key sent more requests than it may")
        self.retry_after_s, self.status = wait_s, status


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=PATIENCE_S):
        raise Busy
    try:
        yield
    finally:
        _places.release()


def raw_of(request: HttpRequest, most: int) -> bytes:
    """The body. Raises TooLarge beyond `most` bytes."""
    raw: bytes = request.read(most + 1)
    if len(raw) > most:
        raise TooLarge("too_large", f"the body is larger than {most} bytes")
    return raw


def body_of(request: HttpRequest, most: int) -> Any:
    """The decoded JSON. Raises Refused, TooLarge beyond `most` bytes."""
    return jsontext.decode(raw_of(request, most))


def admitted(secret: str, kind: str, *, busy_status: int = 429) -> Integration:
    """The integration behind the key. Raises NotAdmitted or TooMany."""
    found: Admitted | None = None
    if len(secret) == KEY_LENGTH:
        found = admit(secret=secret, fits=lambda one: one.kind == kind, now=timezone.now())
    if found is None:
        raise NotAdmitted("unknown_key", "no integration of this kind has this key", "key")
    if found.wait_s:
        raise TooMany(found.wait_s, busy_status)
    return found.integration


def _own(refused: Refused) -> HttpResponse:
    """The one error body."""
    kind = problems.kind_of_status(refused.status)
    said = f"{refused.field}: {refused.message}" if refused.field else refused.message
    details = [problems.of_field(refused.field, refused.code, refused.message)] if refused.field else []
    named = problems.Kind(refused.status, refused.code, kind.title, kind.message)
    return _with_wait(problems.problem(named, said, details), getattr(refused, "retry_after_s", 0))


def _with_wait(answer: HttpResponse, wait_s: int) -> HttpResponse:
    if wait_s:
        answer["Retry-After"] = str(wait_s)
    return answer


def _away() -> HttpResponse:
    return _with_wait(problems.problem(problems.DATABASE), RETRY_S)


def door(
    handle: Callable[..., HttpResponse],
    refuse: Callable[[Refused], HttpResponse] = _own,
    away: Callable[[], HttpResponse] = _away,
) -> Any:
    """A view around one way of taking a body. It never answers 500 for what a sender wrote."""

    @csrf_exempt
    def view(request: HttpRequest, **path: str) -> HttpResponse:
        if request.method != "POST":
            answer = problems.problem(problems.METHOD, "Use POST.")
            answer["Allow"] = "POST"
            return answer
        try:
            return handle(request, **path)
        except Refused as refused:
            return refuse(refused)
        except UnreadablePostError as error:
            if isinstance(error.__cause__, TooManyLarge):
                return away()
            raise  # too slow, or gone: the server's own answer
        except (Busy, OutOfTime) as busy:
            log.warning("door is busy", reason=repr(busy))
            return away()
        except (Error, ValidationError) as error:
            # The edge of one request: the sender comes again, and we know why.
            route = request.resolver_match.route if request.resolver_match else ""
            log.error("door failed", door=route, exc_info=error)
            return away()

    return view


def _taken(integration: Integration, events: Iterable[Event]) -> Taken:
    """The writes, a few at a time. A place is not held while a body comes in: senders may be slow."""
    with _place():
        return take(integration=integration, events=events, now=timezone.now())


def _noted(integration: Integration, read: Callable[[], Any]) -> Any:
    """What `read` gives; what it refuses is counted on the integration's page first."""
    try:
        return read()
    except Refused as refused:
        said = f"{refused.field}: {refused.message}" if refused.field else refused.message
        note_rejected(integration=integration, reason=said, now=timezone.now())
        raise


def _counted(taken: Taken, heard: Heard) -> JsonResponse:
    said: dict[str, Any] = {"ok": True, **vars(taken)}
    if heard.truncated:
        said["warning"] = f"{heard.truncated} alerts were left out by the sender: raise max_alerts."
    return JsonResponse(said)


# --- Alertmanager -------------------------------------------------------------------------------------------
def _alertmanager(request: HttpRequest, key: str) -> HttpResponse:
    # Alertmanager gives up on any 4xx, so a limit is told as a moment's overload.
    integration = admitted(key, "alertmanager", busy_status=503)
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    heard: Heard = _noted(integration, lambda: alertmanager.read(body_of(request, most)))
    taken = _taken(integration, heard.events)
    if heard.truncated or integration.truncated:
        note_truncated(integration=integration, left_out=heard.truncated, now=timezone.now())
    return _counted(taken, heard)


# --- JSON ---------------------------------------------------------------------------------------------------
def _json(request: HttpRequest, key: str) -> HttpResponse:
    integration = admitted(key, "json")
    raw = raw_of(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    header = request.headers.get("Idempotency-Key")
    heard, once = _noted(integration, lambda: _mapped(raw, integration, header))
    if not once:
        return _counted(_taken(integration, heard.events), heard)
    with _place():
        said, again = take_once(
            integration=integration, key=once, raw=raw, events=heard.events, now=timezone.now()
        )
    answer = JsonResponse(said)
    if again:
        answer["Idempotent-Replayed"] = "true"
    return answer


def _mapped(raw: bytes, integration: Integration, header: str | None) -> tuple[Heard, str]:
    document = jsontext.decode(raw)
    return mapped.read(document, integration.mapping), idempotency_key(header, document)


# --- Events v2 ----------------------------------------------------------------------------------------------
def _event(request: HttpRequest) -> HttpResponse:
    document = body_of(request, events_v2.MOST_BYTES)
    integration = _routed(document)
    event = _noted(integration, lambda: events_v2.read(document))
    _taken(integration, [event])
    return _processed({"message": "Event processed", "dedup_key": event.key})


def _change(request: HttpRequest) -> HttpResponse:
    document = body_of(request, events_v2.MOST_BYTES)
    integration = _routed(document)
    summary, source = _noted(integration, lambda: events_v2.read_change(document))
    take_change(integration=integration, summary=summary, source=source, now=timezone.now())
    return _processed({"message": "Change event processed"})


def _routed(document: Any) -> Integration:
    key = events_v2.routing_key(document)
    if not key:
        raise InvalidEvent(["'routing_key' is missing or blank"], "routing_key")
    try:
        return admitted(key, "events_v2")
    except NotAdmitted:
        raise InvalidEvent(["'routing_key' is unknown here"], "routing_key") from None


def _processed(said: dict[str, str]) -> JsonResponse:
    return JsonResponse({"status": "success", **said}, status=202)


def _foreign(refused: Refused) -> HttpResponse:
    """As senders of Events v2 expect it."""
    if isinstance(refused, TooMany):
        slow_down = {
            "status": "throttle exceeded",
            "message": "Requests for this key are arriving too quickly",
        }
        return _with_wait(JsonResponse(slow_down, status=429), refused.retry_after_s)
    errors = refused.errors if isinstance(refused, InvalidEvent) else [_sentence(refused)]
    said = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return JsonResponse(said, status=refused.status)


def _sentence(refused: Refused) -> str:
    return f"{refused.field}: {refused.message}" if refused.field else refused.message


def _foreign_away() -> HttpResponse:
    said = {"status": "unavailable", "message": "Try again later"}
    return _with_wait(JsonResponse(said, status=503), RETRY_S)


alertmanager_door = door(_alertmanager)
json_door = door(_json)
events_door = door(_event, _foreign, _foreign_away)
changes_door = door(_change, _foreign, _foreign_away)
