"""The Sentry door: `POST /api/<project>/envelope/`, `/store/` and `/api/tunnel/`, answered before Django's own request
handling.

Half of what an event costs is spent here, so nothing stands in front: no session, no middleware, no full decode. The
key is looked up in this process, the body is unpacked within its limits, headers are read, and the packed body goes
into the durable inbox. Everything else is the drain's.
"""

import re
from collections.abc import Iterable
from typing import Any
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIApplication

import orjson
import structlog
from django.conf import settings

from apps.core import context, jsontext, problems
from apps.core.refusal import Refused, TooManyLarge
from apps.core.slow_bodies import BodyTooSlow
from apps.ingest import admission, auth, cors, envelope, inbox, keys
from apps.ingest.limits import Throttled
from apps.ingest.models import EntryKind
from apps.ingest.unpack import OLD_PACKING, Busy, opened, room, unpack_old
from apps.projects.event_id import parse_event_id

Environ = dict[str, Any]

log = structlog.get_logger("portal.door")
_PATH = re.compile(r"/api/(?:([0-9]{1,18})/(envelope|store)|tunnel)/?")
# Senders' words may stand in a message, and a header line holds neither line ends nor letters beyond ASCII.
_NOT_FOR_HEADERS = re.compile(r"[^ -~]")
_MOST_OF_A_HEADER = 300
_PIECE = 64 * 1024
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed",
            408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests",
            500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


class Forbidden(Refused):
    """403: the key is right, but not for this project."""

    status = 403


class BodyLate(Refused):
    """408: its sender took longer than a body may take."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            "too_slow", f"the body did not come within {settings.BODY_DEADLINE_S} seconds", "body"
        )


class BodyTooLong(Refused):
    """413 before unpacking."""

    status = 413


class Door:
    """WSGI application in front of another one: takes the Sentry paths, hands on the rest."""

    def __init__(self, inner: WSGIApplication) -> None:
        self.inner = inner

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None:
            return self.inner(environ, start_response)
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return _preflight(environ, start_response)
        if environ["REQUEST_METHOD"] != "POST":
            return _refuse(start_response, problems.METHOD, "Use POST.", extra=[("Allow", "POST, OPTIONS")])
        project_id = int(match[1]) if match[1] else None
        return self._receive(environ, start_response, project_id, match[2] or "envelope")

    def _receive(
        self, environ: Environ, start_response: StartResponse, project_id: int | None, endpoint: str
    ) -> Iterable[bytes]:
        try:
            event_id, facts = receive(environ, project_id, endpoint)
        except Refused as refused:
            return _refuse_input(start_response, refused)
        except inbox.InboxFull as full:  # SDKs hold back what the second header names
            wait = str(full.retry_after_s)
            headers = [("Retry-After", wait), ("X-Sentry-Rate-Limits", f"{wait}::key")]
            return _refuse(start_response, problems.THROTTLED, extra=headers)
        except (inbox.InboxUnavailable, keys.KeysUnavailable):
            wait = str(inbox.BROKEN_RETRY_S)
            return _refuse(start_response, problems.DATABASE, extra=[("Retry-After", wait)])
        except Exception:  # the edge of one request: a bug of ours is logged, and answered in the one form
            log.exception("the door failed", project=project_id, endpoint=endpoint)
            return _refuse(start_response, problems.UNKNOWN)
        return _answer(start_response, 200, orjson.dumps({"id": event_id}), cors.headers(facts, environ))


def _preflight(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    try:
        return _answer(start_response, 200, b"", cors.preflight(environ))
    except Refused as refused:
        return _refuse_input(start_response, refused)


def receive(environ: Environ, project_id: int | None, endpoint: str) -> tuple[str, keys.KeyFacts]:
    """Take one request; the event's id once it is durable, and its key. Raises Refused, InboxUnavailable,
    KeysUnavailable. Without a project it is a tunnel's: the envelope's own DSN decides, and nothing else.
    """
    facts = None if project_id is None else _enter_early(environ, project_id, endpoint)
    packed = read_body(environ)
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if facts is not None and endpoint == "store":
        kind = EntryKind.STORE
        named, packed, coding = _look_into_event(packed, coding)
    else:
        kind = EntryKind.ENVELOPE
        named, facts = _look_into_envelope(packed, coding, facts, project_id, environ)
    event_id = named or uuid4().hex
    known_as = inbox.encode_context({"event_id": event_id})
    inbox.accept(
        inbox.Entry(facts.project_id, kind, packed, "" if coding == "identity" else coding, known_as)
    )
    return event_id, facts


def _enter_early(environ: Environ, project_id: int, endpoint: str) -> keys.KeyFacts | None:
    """A stranger's body is not even read, nor that of a key which has sent too much. None: the body will tell."""
    given = {
        "sentry_auth": environ.get("HTTP_X_SENTRY_AUTH", ""),
        "authorization": environ.get("HTTP_AUTHORIZATION", ""),
        "query": environ.get("QUERY_STRING", ""),
    }
    if endpoint != "store" and not auth.has_credentials(**given):
        return None
    facts = _authorise(auth.credentials(**given), project_id, environ)
    admission.enter(facts, endpoint)
    if endpoint == "store":
        admission.enter_events(facts, 1)
    return facts


def _look_into_event(packed: bytes, coding: str) -> tuple[str | None, bytes, str]:
    """Its id, and how it is kept: what was packed in the old way is kept as it came out."""
    with opened(packed, coding, max_bytes=settings.EVENT_MAX_BYTES) as body:
        if not body.startswith(OLD_PACKING):
            return _id_of_event(body), packed, coding
        with room:
            unpacked = unpack_old(body, max_bytes=settings.EVENT_MAX_BYTES)
            return _id_of_event(unpacked), unpacked, ""


def _look_into_envelope(
    packed: bytes, coding: str, facts: keys.KeyFacts | None, project_id: int | None, environ: Environ
) -> tuple[str | None, keys.KeyFacts]:
    """Its event's id, and its key where no header had one. What was unpacked is gone when it returns."""
    with opened(packed, coding, max_bytes=settings.ENVELOPE_MAX_UNPACKED) as body:
        split = envelope.split(body)
        if facts is None:
            given = auth.credentials(dsn=split.header.get("dsn"))
            facts = _authorise(given, given.project_id if project_id is None else project_id, environ)
            admission.enter(facts, "envelope")
        admission.enter_items(facts, split.items, taken=1)
        return split.event_id, facts


def _id_of_event(body: bytes) -> str | None:
    """The id of a single event, which is read as a whole: its sender gets no other answer about it."""
    event = jsontext.decode(body, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
    if not isinstance(event, dict):
        raise Refused("not_an_object", "an event is a JSON object", "event")
    return parse_event_id(event.get("event_id"))


def _authorise(given: auth.Credentials, project_id: int | None, environ: Environ) -> keys.KeyFacts:
    """One constant answer for every wrong key; a right key of another project or page is told so."""
    facts = keys.find(given.key)
    if facts is None:
        raise auth.AuthRefused
    if facts.project_id != project_id:
        raise Forbidden("wrong_project", "this key belongs to another project", "project")
    cors.check(facts, environ)
    return facts


def authorise_for_project(environ: Environ, kind: str) -> keys.KeyFacts:
    """A JSON door's key, which names the project; what is refused for limits counts as `kind`.

    Raises Refused (also for limits), KeysUnavailable.
    """
    given = auth.credentials(
        sentry_auth=environ.get("HTTP_X_SENTRY_AUTH", ""),
        authorization=environ.get("HTTP_AUTHORIZATION", ""),
        query=environ.get("QUERY_STRING", ""),
    )
    facts = keys.find(given.key)
    if facts is None:
        raise auth.AuthRefused
    cors.check(facts, environ)
    admission.enter(facts, kind)
    admission.enter_events(facts, 1, kind)
    return facts


def read_body(environ: Environ) -> bytes:
    """The packed body, at most ENVELOPE_MAX_PACKED bytes, with or without a Content-Length (chunked)."""
    limit = settings.ENVELOPE_MAX_PACKED
    declared = _declared_length(environ.get("CONTENT_LENGTH") or "")
    if declared is not None and declared > limit:
        raise BodyTooLong("too_large", f"the body is larger than {limit} bytes", "body")
    if declared is None and not environ.get("wsgi.input_terminated"):
        return b""  # nobody says where it would end: there is none
    body = _read(environ["wsgi.input"], limit + 1 if declared is None else declared)
    if len(body) > limit:
        raise BodyTooLong("too_large", f"the body is larger than {limit} bytes", "body")
    if declared is not None and len(body) < declared:
        raise Refused("truncated", "fewer bytes came than Content-Length says", "body")
    return body


def _declared_length(text: str) -> int | None:
    """None where the body says itself where it ends."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refused("invalid_length", "not a whole number of bytes", "Content-Length")
    return int(text)


def _read(stream: Any, most: int) -> bytes:
    """Up to `most` bytes; a server may hand them over in pieces, and a sender may go away between them."""
    pieces: list[bytes] = []
    try:
        while most > 0 and (piece := stream.read(min(most, _PIECE))):
            pieces.append(piece)
            most -= len(piece)
    except BodyTooSlow as error:
        raise BodyLate from error
    except TooManyLarge as error:
        raise Busy from error
    except OSError as error:
        raise Refused("truncated", "the body could not be read to its end", "body") from error
    return b"".join(pieces)


def _refuse_input(start_response: StartResponse, refused: Refused) -> Iterable[bytes]:
    base = problems.BY_STATUS.get(refused.status, problems.VALIDATION)
    kind = problems.Kind(refused.status, refused.code, base.title, base.message)
    said = f"{refused.field}: {refused.message}" if refused.field else refused.message
    extra = [("WWW-Authenticate", "Sentry")] if refused.status == 401 else []
    if isinstance(refused, Throttled):
        extra = refused.headers
    details = [problems.of_field(refused.field, refused.code, refused.message)]
    return _refuse(start_response, kind, said, details, extra)


def _refuse(
    start_response: StartResponse,
    kind: problems.Kind,
    message: str = "",
    details: Iterable[dict[str, str]] = (),
    extra: Iterable[tuple[str, str]] = (),
) -> Iterable[bytes]:
    """The one error body, and its reason in the header that SDKs log."""
    with context.entered(context.RequestContext()) as held:
        body = problems.body(kind, message, details)
        reason = _NOT_FOR_HEADERS.sub("?", str(body["message"]))[:_MOST_OF_A_HEADER]
        headers = [("X-Request-ID", held.request_id), ("X-Sentry-Error", reason), *extra, *cors.CORS]
    return _answer(start_response, kind.status, orjson.dumps(body), headers, problems.CONTENT_TYPE)


def _answer(
    start_response: StartResponse,
    status: int,
    body: bytes,
    headers: list[tuple[str, str]],
    content_type: str = "application/json",
) -> Iterable[bytes]:
    lengths = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    start_response(f"{status} {_REASONS.get(status, 'Error')}", [*lengths, *headers])
    return [body]
