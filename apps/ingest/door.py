"""The Sentry door: `POST /api/<project>/envelope/` and `/store/`, answered before Django's own request handling.

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
from django.conf import settings
from django.db import DatabaseError

from apps.core import context, problems
from apps.core.refusal import Refused
from apps.ingest import auth, envelope, inbox, keys
from apps.ingest.models import EntryKind
from apps.ingest.unpack import unpack

Environ = dict[str, Any]

_PATH = re.compile(r"/api/([0-9]{1,18})/(envelope|store)/?")
# The drain reads the event itself; the door only repeats the id that it will be known by.
_EVENT_ID = re.compile(
    rb'"event_id"\s*:\s*"([0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"'
)
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed",
            413: "Content Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests",
            503: "Service Unavailable"}  # fmt: skip
CORS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "X-Sentry-Error, X-Sentry-Rate-Limits, Retry-After, X-Request-ID"),
]
PREFLIGHT = [
    *CORS,
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type, Content-Encoding, X-Sentry-Auth, Authorization, sentry-trace, "
                                     "baggage, X-Requested-With"),
    ("Access-Control-Max-Age", "3600"),
]  # fmt: skip


class Forbidden(Refused):
    """403: the key is right, but not for this project or this origin."""

    status = 403


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
            return _answer(start_response, 200, b"", PREFLIGHT)
        if environ["REQUEST_METHOD"] != "POST":
            return _refuse(start_response, problems.METHOD, "Use POST.", extra=[("Allow", "POST, OPTIONS")])
        return self._receive(environ, start_response, int(match[1]), match[2])

    def _receive(
        self, environ: Environ, start_response: StartResponse, project_id: int, endpoint: str
    ) -> Iterable[bytes]:
        try:
            event_id = receive(environ, project_id, endpoint)
        except Refused as refused:
            return _refuse_input(start_response, refused)
        except inbox.InboxUnavailable as away:
            wait = [("Retry-After", str(away.retry_after_s))]
            if away.retry_after_s > 5:  # full, not broken: SDKs hold back the named categories
                wait.append(("X-Sentry-Rate-Limits", f"{away.retry_after_s}::key"))
                return _refuse(start_response, problems.THROTTLED, extra=wait)
            return _refuse(start_response, problems.DATABASE, extra=wait)
        except DatabaseError:
            return _refuse(start_response, problems.DATABASE, extra=[("Retry-After", "5")])
        return _answer(start_response, 200, orjson.dumps({"id": event_id}), CORS)


def receive(environ: Environ, project_id: int, endpoint: str) -> str:
    """Take one request; returns the event's id once it is durable. Raises Refused, InboxUnavailable, DatabaseError."""
    sentry_auth = environ.get("HTTP_X_SENTRY_AUTH", "")
    authorization, query = environ.get("HTTP_AUTHORIZATION", ""), environ.get("QUERY_STRING", "")
    early = auth.has_credentials(sentry_auth=sentry_auth, authorization=authorization, query=query)
    if early:  # a stranger's body is not even read
        _authorise(auth.credentials(sentry_auth=sentry_auth, authorization=authorization, query=query), project_id,
                   environ)  # fmt: skip
    packed = read_body(environ)
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    body = unpack(packed, coding, max_bytes=settings.ENVELOPE_MAX_UNPACKED)
    if endpoint == "store":
        if not early:
            raise auth.AuthRefused
        named = _EVENT_ID.search(body)
        event_id, kind = (
            named[1].replace(b"-", b"").decode().lower() if named else uuid4().hex,
            EntryKind.STORE,
        )
    else:
        split = envelope.split(body)
        if not early:
            _authorise(auth.credentials(dsn=split.header.get("dsn")), project_id, environ)
        event_id, kind = split.event_id or uuid4().hex, EntryKind.ENVELOPE
    given = inbox.encode_context({"event_id": event_id})
    inbox.accept(inbox.Entry(project_id, kind, packed, "" if coding == "identity" else coding, given))
    return event_id


def _authorise(given: auth.Credentials, project_id: int, environ: Environ) -> None:
    """One constant answer for every wrong key; a right key of another project or page is told so."""
    facts = keys.find(given.key)
    if facts is None:
        raise auth.AuthRefused
    if facts.project_id != project_id:
        raise Forbidden("wrong_project", "this key belongs to another project", "project")
    _check_origin(facts, environ)


def _check_origin(facts: keys.KeyFacts, environ: Environ) -> None:
    """Browsers say where a page comes from; a key may name the pages that may use it. Advice, not a wall."""
    origin = environ.get("HTTP_ORIGIN", "")
    if origin and facts.allowed_origins and origin not in facts.allowed_origins:
        raise Forbidden("origin_not_allowed", "this key may not be used from that origin", "Origin")


def authorise_for_project(environ: Environ) -> int:
    """The project that a JSON door's key belongs to; its path names none. Raises Refused, DatabaseError."""
    given = auth.credentials(
        sentry_auth=environ.get("HTTP_X_SENTRY_AUTH", ""),
        authorization=environ.get("HTTP_AUTHORIZATION", ""),
        query=environ.get("QUERY_STRING", ""),
    )
    facts = keys.find(given.key)
    if facts is None:
        raise auth.AuthRefused
    _check_origin(facts, environ)
    return facts.project_id


def read_body(environ: Environ) -> bytes:
    """The packed body, at most ENVELOPE_MAX_PACKED bytes, with or without a Content-Length (chunked)."""
    limit = settings.ENVELOPE_MAX_PACKED
    declared = environ.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLong("too_large", f"the body is larger than {limit} bytes", "body")
    stream = environ["wsgi.input"]
    body: bytes = stream.read(int(declared) if declared.isdecimal() else limit + 1)
    if len(body) > limit:
        raise BodyTooLong("too_large", f"the body is larger than {limit} bytes", "body")
    if declared.isdecimal() and len(body) < int(declared):
        raise Refused("truncated", "fewer bytes came than Content-Length says", "body")
    return body


def _refuse_input(start_response: StartResponse, refused: Refused) -> Iterable[bytes]:
    base = problems.BY_STATUS.get(refused.status, problems.VALIDATION)
    kind = problems.Kind(refused.status, refused.code, base.title, base.message)
    said = f"{refused.field}: {refused.message}" if refused.field else refused.message
    extra = [("WWW-Authenticate", "Sentry")] if refused.status == 401 else []
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
        headers = [("X-Request-ID", held.request_id), ("X-Sentry-Error", str(body["message"])), *extra, *CORS]
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
