"""The JSON doors: `POST /api/errors/`, `/api/errors/client` and `/api/errors/batch`.

Unlike the Sentry door they read, check and scrub a record before they answer, so that the answer can name the field
that is wrong. What they accept is durable when they answer, like everything else.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
import orjson
from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from apps.core import jsontext, problems
from apps.core.refusal import Refused
from apps.errors.new_event import NewEvent
from apps.errors.records import CLIENT, from_record
from apps.ingest import admission, cors, door, inbox, keys, routes
from apps.ingest.decoding import hash_key
from apps.ingest.keys import KeyFacts
from apps.ingest.limits import Throttled
from apps.ingest.models import EntryKind
from apps.ingest.unpack import opened
from apps.projects.intake import Intake

MAX_RECORD_BYTES = 256 * 1024
MOST_RECORDS = 10_000
RECORDS_PER_ENTRY = 500
# Of one array, all its records together: they are decoded at once, and each value takes some 60 bytes of memory.
MOST_VALUES = 2_000_000
SERVER = "server"
_NEWLINE_TYPES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
)


@dataclass
class Taken:
    """What of a batch was usable, and what was not."""

    events: list[NewEvent] = field(default_factory=list)  # until they are packed
    packed: list[bytes] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    duplicates: int = 0
    late: int = 0

    def pack(self) -> None:
        """In our own encoding, in pieces that the drain can take one at a time."""
        starts = range(0, len(self.events), RECORDS_PER_ENTRY)
        self.packed = [
            msgspec.msgpack.encode(self.events[start : start + RECORDS_PER_ENTRY]) for start in starts
        ]
        self.events.clear()


def json_door(take: Any, kind: str = "records") -> Any:
    """A view around one way of taking a body: key first, then the body within its limits, one form of refusal.

    What is refused for limits is counted as items of `kind`.
    """

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponse:
        if request.method == "OPTIONS":
            return _preflight(request)
        if request.method != "POST":
            return _with_cors(problems.problem(problems.METHOD, "Use POST."), {"Allow": "POST, OPTIONS"})
        try:
            facts = door.authorise_for_project(request.META, kind)
            return _with(take(request, facts), cors.headers(facts, request.META))
        except Refused as refused:
            return _with_cors(refusal(refused))
        except inbox.InboxFull as full:
            return _with_cors(problems.problem(problems.THROTTLED), {"Retry-After": str(full.retry_after_s)})
        except (inbox.InboxUnavailable, keys.KeysUnavailable, Error):
            wait = {"Retry-After": str(inbox.BROKEN_RETRY_S)}
            return _with_cors(problems.problem(problems.DATABASE), wait)

    return view


def _preflight(request: HttpRequest) -> HttpResponse:
    try:
        return _with(HttpResponse(status=200), cors.preflight(request.META))
    except Refused as refused:
        return _with_cors(refusal(refused))


def refusal(refused: Refused) -> HttpResponse:
    """The one error body for input that is not taken."""
    base = problems.BY_STATUS.get(refused.status, problems.VALIDATION)
    kind = problems.Kind(refused.status, refused.code, base.title, base.message)
    said = f"{refused.field}: {refused.message}" if refused.field else refused.message
    answer = problems.problem(kind, said, [problems.of_field(refused.field, refused.code, refused.message)])
    if refused.status == 401:
        answer["WWW-Authenticate"] = 'Bearer realm="project key"'
    return _with(answer, refused.headers) if isinstance(refused, Throttled) else answer


def _with_cors(answer: HttpResponse, headers: dict[str, str] | None = None) -> HttpResponse:
    return _with(answer, [*cors.CORS, *(headers or {}).items()])


def _with(answer: HttpResponse, headers: Iterable[tuple[str, str]]) -> HttpResponse:
    for name, value in headers:
        answer[name] = value
    return answer


def opened_body(request: HttpRequest, limit: int) -> AbstractContextManager[bytes]:
    """The unpacked body as long as it is looked at; Refused beyond the limit."""
    packed = door.read_body(request.META)
    return opened(packed, request.headers.get("Content-Encoding", ""), max_bytes=limit)


def intake_of(request: HttpRequest, project_id: int, source: str) -> Intake:
    """What is known beside the body; a browser's own user agent is kept, a server's says nothing."""
    rules, default = routes.current().of(project_id)
    return Intake(
        project_id=project_id,
        received_at=timezone.now(),
        hash_key=hash_key(),
        event_id=uuid4().hex,
        source=source,
        rules=rules,
        default_component=default,
        user_agent=request.headers.get("User-Agent", "")[:512] if source == CLIENT else "",
    )


def _keep(project_id: int, packed: list[bytes]) -> None:
    """Durable together when it returns."""
    inbox.accept(*(inbox.Entry(project_id, EntryKind.RECORDS, part) for part in packed))


def _single(request: HttpRequest, project_id: int, source: str) -> HttpResponse:
    with opened_body(request, MAX_RECORD_BYTES) as body:
        event = from_record(jsontext.decode(body), intake_of(request, project_id, source))
    _keep(project_id, [msgspec.msgpack.encode([event])])
    return JsonResponse({"ok": True, "id": event.event_id}, status=201)


def _server(request: HttpRequest, facts: KeyFacts) -> HttpResponse:
    return _single(request, facts.project_id, SERVER)


def _client(request: HttpRequest, facts: KeyFacts) -> HttpResponse:
    return _single(request, facts.project_id, CLIENT)


def _batch(request: HttpRequest, facts: KeyFacts) -> HttpResponse:
    """JSON array or NDJSON: good records are kept, bad ones are told by index; 400 only if nothing was usable."""
    with opened_body(request, settings.ENVELOPE_MAX_UNPACKED) as body:
        taken = _usable(request, facts, body)
    if taken.packed:
        _keep(facts.project_id, taken.packed)
    elif taken.rejected:
        first = taken.rejected[0]
        raise Refused(first["code"], f"no record was usable; the first: {first['message']}", first["field"])
    else:
        raise Refused("required", "send at least one record", "body")
    answer = {"accepted": len(taken.ids), "duplicate": taken.duplicates, "late": taken.late}
    return JsonResponse({**answer, "rejected": taken.rejected}, status=202)


def _usable(request: HttpRequest, facts: KeyFacts, body: bytes) -> Taken:
    """What of these records can be kept, packed; what they were decoded to is gone when it returns."""
    records = _records(request, body)
    admission.enter_events(facts, len(records), "records")
    taken = Taken()
    intake = intake_of(request, facts.project_id, SERVER)
    for index, raw in enumerate(records):
        _take(taken, index, raw, intake)
    taken.pack()
    return taken


def _records(request: HttpRequest, body: bytes) -> list[Any]:
    """Raw records: lines of NDJSON, or the members of one array."""
    if (request.content_type or "") in _NEWLINE_TYPES or not body.lstrip().startswith(b"["):
        _check_count(body.count(b"\n"))
        return [line for line in body.split(b"\n") if line.strip()]
    if jsontext.has_more_values(body, MOST_VALUES):
        raise door.BodyTooLong("too_many_values", f"more than {MOST_VALUES} values", "body")
    members = jsontext.decode(body, max_keys=None)
    _check_count(len(members))
    return list(members)


def _check_count(records: int) -> None:
    """Before each of them is held, and answered, by itself."""
    if records > MOST_RECORDS:
        raise door.BodyTooLong("too_many_records", f"more than {MOST_RECORDS} records", "body")


def _take(taken: Taken, index: int, raw: Any, intake: Intake) -> None:
    try:
        record = _record(raw)
        event = from_record(record, msgspec.structs.replace(intake, event_id=uuid4().hex))
    except Refused as refused:
        said = {"index": index, "code": refused.code, "field": refused.field, "message": refused.message}
        taken.rejected.append(said)
        return
    if event.event_id in taken.ids:
        taken.duplicates += 1
        return
    taken.ids.add(event.event_id)
    taken.late += not event.time_is_usable and record.get("timestamp") is not None
    taken.events.append(event)


def _record(raw: Any) -> Any:
    """One decoded record within the limit that a single one has; members of an array are decoded already."""
    size = len(raw) if isinstance(raw, bytes) else len(orjson.dumps(raw))
    if size > MAX_RECORD_BYTES:
        raise Refused("too_large", f"a record larger than {MAX_RECORD_BYTES} bytes")
    return jsontext.decode(raw) if isinstance(raw, bytes) else raw


server, client, batch = json_door(_server), json_door(_client), json_door(_batch)
