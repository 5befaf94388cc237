"""Requests as SDKs send them, made hostile: in their JSON, their bytes, their frame, their coding and their headers."""

import gzip
import random
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import brotli
import orjson
import sentry_sdk
import zstandard
from sentry_sdk.utils import event_from_exception

from benchmarks.decode import make_event
from tests.ingest.wsgi import FOREIGN_KEY, KEY

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda raw: gzip.compress(raw, 1),
    "deflate": lambda raw: zlib.compress(raw, 1),
    "br": lambda raw: brotli.compress(raw, quality=0),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
}
CODINGS = ["gzip, gzip", "rar", "\xff", "", " GZIP ", "x-gzip", "identity", "x" * 9000]
HEADERS = [
    "HTTP_ORIGIN", "HTTP_USER_AGENT", "HTTP_REFERER", "HTTP_X_REQUEST_ID", "HTTP_X_FORWARDED_FOR",
    "HTTP_X_CORRELATION_ID", "HTTP_ACCEPT", "HTTP_COOKIE",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**63, -(2**63), 2**64 - 1, 1e308, -1e-308, 0.1, "", "\0", "a\0b", "x" * 20_000, "[]",
    "../../etc/passwd", "\u202e\u200b", "\N{PILE OF POO}", "'; DROP TABLE x; --", "<script>", "9" * 400, "2026-13-45",
    "2026-11-22T18:00:00Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999Z", "-Infinity", "a" * 32, "0" * 32,
    "password=hunter2", "4111 1111 1111 1111", "bob@example.org", [], {}, [[]], [{}], {"": {}}, [None],
    {"values": None},
    {"values": [None, 7, {}]}, [[[[[[[[]]]]]]]], ["a"] * 2000, {str(n): n for n in range(1500)}, 1e16, "1e400", "NaN",
]  # fmt: skip
KEYS = [
    "", "\0", "values", "event_id", "timestamp", "level", "tags", "user", "exception", "type", "value", "stacktrace",
    "frames", "lineno", "message", "logentry", "request", "contexts", "breadcrumbs", "fingerprint", "release", "data",
    "duration_ms", "event", "errorType", "severity", "a.b", "__proto__", "x" * 500, "\N{PILE OF POO}", "password",
]  # fmt: skip
SPLICES = [
    b"\\u0000", b"\\ud800", b"\\udfff", b"\xff", b"\0", b"\xed\xa0\x80", b"NaN", b"1e400", b"-", b"null", b"{}", b"[]",
    b"[" * 300, b"]" * 300, b'{"a":' * 40, b"}" * 40, b'"', b'":"', b",", b"\n", b"9" * 5000, b"\\", b"\r\n",
    b"\xef\xbb\xbf",
]  # fmt: skip


@dataclass
class Request:
    """A door, its body unpacked and packed, and WSGI variables."""

    door: str
    path: str
    body: bytes
    environ: dict[str, Any] = field(default_factory=dict)


# --- What an application would send -----------------------------------------------------------------------------
@cache
def _of_the_sdk() -> dict[str, Any]:
    """An event that the real Python SDK made of a failure: frames with their variables, breadcrumbs, user, contexts."""
    sent: list[dict[str, Any]] = []

    class Kept(sentry_sdk.Transport):
        def capture_envelope(self, envelope: sentry_sdk.envelope.Envelope) -> None:
            sent.append(envelope.get_event())

    client = sentry_sdk.Client(f"http://{KEY}@127.0.0.1:1/1", transport=Kept)
    scope = sentry_sdk.Scope()
    scope.set_user({"id": "7", "email": "bob@example.org"})
    scope.set_tag("component", "Payments")
    scope.add_breadcrumb(category="cart", message="added", data={"lines": 3})
    card = {"number": "4111 1111 1111 1111", "holder": "Bob"}
    try:
        raise KeyError(card["currency"])
    except KeyError as error:
        client.capture_event(*event_from_exception(error, client_options=client.options), scope)
    return orjson.loads(orjson.dumps(sent[0], default=str))


def event(rnd: random.Random, now: datetime) -> dict[str, Any]:
    """As one SDK or another sends it."""
    if rnd.random() < 0.5:
        return make_event(rnd, now)
    return {
        **deepcopy(_of_the_sdk()),
        "event_id": f"{rnd.getrandbits(128):032x}",
        "timestamp": now.timestamp(),
    }


def transaction(rnd: random.Random, now: datetime) -> dict[str, Any]:
    start = now - timedelta(milliseconds=rnd.randrange(2000))
    return {
        "type": "transaction", "event_id": f"{rnd.getrandbits(128):032x}", "transaction": f"/orders/{rnd.randrange(9)}",
        "start_timestamp": start.timestamp(), "timestamp": now.timestamp(), "tags": {"http.status_code": "200"},
        "contexts": {"trace": {"trace_id": "1" * 32, "span_id": "2" * 16, "op": "http.server", "status": "ok"}},
        "spans": [{"op": "db", "start_timestamp": start.timestamp(), "timestamp": now.timestamp()}] * 3,
    }  # fmt: skip


def session(rnd: random.Random, now: datetime) -> dict[str, Any]:
    return {
        "sid": f"{rnd.getrandbits(128):032x}", "did": str(rnd.randrange(99)), "seq": 1, "init": True, "errors": 0,
        "started": now.isoformat(), "timestamp": now.isoformat(), "status": rnd.choice(["ok", "exited", "crashed"]),
        "attrs": {"release": "shop@1.4.2", "environment": "test"},
    }  # fmt: skip


def sessions(rnd: random.Random, now: datetime) -> dict[str, Any]:
    bucket = {"started": now.isoformat(), "exited": rnd.randrange(9), "errored": 1}
    return {"aggregates": [bucket] * 2, "attrs": {"release": "shop@1.4.2"}}


def check_in(rnd: random.Random, now: datetime) -> dict[str, Any]:
    return {
        "check_in_id": f"{rnd.getrandbits(128):032x}", "monitor_slug": "nightly", "status": "ok", "duration": 3.2,
        "monitor_config": {"schedule": {"type": "crontab", "value": "0 3 * * *"}, "checkin_margin": 5},
    }  # fmt: skip


def client_report(rnd: random.Random, now: datetime) -> dict[str, Any]:
    lost = {"reason": "queue_overflow", "category": "error", "quantity": rnd.randrange(9)}
    return {"timestamp": now.timestamp(), "discarded_events": [lost]}


def feedback(rnd: random.Random, now: datetime) -> dict[str, Any]:
    said = {"message": "It fails", "contact_email": "bob@example.org", "associated_event_id": "a" * 32}
    return {
        "event_id": f"{rnd.getrandbits(128):032x}",
        "timestamp": now.timestamp(),
        "contexts": {"feedback": said},
    }


def user_report(rnd: random.Random, now: datetime) -> dict[str, Any]:
    return {"event_id": "a" * 32, "name": "Bob", "email": "bob@example.org", "comments": "It fails"}


def record(rnd: random.Random, now: datetime) -> dict[str, Any]:
    return {
        "message": f"order {rnd.randrange(10**6)} refused", "errorType": "KeyError", "severity": "Major",
        "timestamp": now.isoformat(), "component": "Payments", "userId": str(rnd.randrange(99)),
        "stack": "at x (y.js:1)",
        "context": {"url": "/checkout", "statusCode": 500, "cart": [1, 2, {"a": None}]},
    }  # fmt: skip


def tracked(rnd: random.Random, now: datetime) -> dict[str, Any]:
    return rnd.choice([
        {"event": "feature_used", "data": {"feature": "export", "user_id": "7", "duration_seconds": 2.5}},
        {"event": "api_response_time", "data": {"endpoint": "/orders/7", "response_time_ms": 81}},
        {"event": "my_own", "data": {"anything": [1, 2]}, "timestamp": now.isoformat()},
    ])  # fmt: skip


ITEMS: dict[str, Callable[[random.Random, datetime], dict[str, Any]]] = {
    "event": event, "transaction": transaction, "session": session, "sessions": sessions, "check_in": check_in,
    "client_report": client_report, "feedback": feedback, "user_report": user_report,
}  # fmt: skip


def hostile_value(rnd: random.Random) -> Any:
    """One of them, and nobody else's."""
    return deepcopy(rnd.choice(VALUES))


# --- What becomes of it -----------------------------------------------------------------------------------------
def bend(rnd: random.Random, document: Any) -> Any:
    """The document with one place put to something else, anywhere in it."""
    node, path = document, []
    while isinstance(node, dict | list) and node and rnd.random() < 0.85:
        step = rnd.choice(list(node)) if isinstance(node, dict) else rnd.randrange(len(node))
        path.append((node, step))
        node = node[step]
    if not path:
        return hostile_value(rnd)
    holder, step = path[-1]
    how = rnd.random()
    if how < 0.15:
        del holder[step]
    elif how < 0.3 and isinstance(holder, dict):
        holder[rnd.choice(KEYS)] = holder.pop(step)
    elif how < 0.4:
        holder[step] = {rnd.choice(KEYS): holder[step]}
    else:
        holder[step] = hostile_value(rnd)
    return document


def splice(rnd: random.Random, body: bytes) -> bytes:
    """The bytes with one place replaced, cut, doubled or filled."""
    at, width = rnd.randrange(len(body) + 1), rnd.choice((0, 1, 1, 2, 8, 200, 10**6))
    put = rnd.choice((rnd.choice(SPLICES), rnd.randbytes(rnd.randint(1, 4)), body[at : at + 300], b""))
    return body[:at] + put + body[at + width :]


def document(rnd: random.Random, made: dict[str, Any]) -> bytes:
    """As JSON: bent, spliced, both, with a doubled key, or sound."""
    for _ in range(rnd.choice((0, 1, 1, 2, 4))):
        made = bend(rnd, made)
    raw = orjson.dumps(made, option=orjson.OPT_NON_STR_KEYS)
    if rnd.random() < 0.1 and raw.startswith(b"{"):
        key, value = rnd.choice(KEYS), hostile_value(rnd)
        raw = (
            b"%s,%s:%s}" % (raw[:-1] or b"{", orjson.dumps(key), orjson.dumps(value)) if len(raw) > 2 else raw
        )
    return splice(rnd, raw) if rnd.random() < 0.25 else raw


def item(rnd: random.Random, now: datetime) -> bytes:
    """Header line and payload, the length not always right."""
    kind = rnd.choice(
        [*ITEMS, "event", "event", "attachment", "log", "span", "statsd", "profile", "x", "../x"]
    )
    payload = document(rnd, ITEMS[kind](rnd, now)) if kind in ITEMS else rnd.randbytes(rnd.randrange(40))
    header: dict[str, Any] = {"type": kind, "length": len(payload)}
    if kind in ("log", "span"):
        header["item_count"] = rnd.choice([1, 3, -1, 2**40, "7", None])
    if rnd.random() < 0.03:
        header["length"] = rnd.choice([-1, 0, 1, 2**63, 1.5, "3", None, len(payload) + 1, True])
    if rnd.random() < 0.05:
        header = bend(rnd, header) if rnd.random() < 0.5 else {**header, rnd.choice(KEYS): hostile_value(rnd)}
    return orjson.dumps(header) + b"\n" + payload


def envelope(rnd: random.Random, now: datetime, dsn: str = "") -> bytes:
    """A header and some items, the frame damaged now and then."""
    header: Any = {
        "event_id": f"{rnd.getrandbits(128):032x}",
        "sent_at": now.isoformat(),
        **({"dsn": dsn} if dsn else {}),
    }
    if rnd.random() < 0.1:
        header = bend(rnd, header)
    body = b"\n".join(
        [orjson.dumps(header), *(item(rnd, now) for _ in range(rnd.choice((0, 1, 1, 1, 2, 3, 9))))]
    )
    return splice(rnd, body) if rnd.random() < 0.15 else body


def batch(rnd: random.Random, now: datetime) -> bytes:
    """An array or lines of records."""
    records = [document(rnd, record(rnd, now)) for _ in range(rnd.choice((0, 1, 2, 5)))]
    body = b"\n".join(records) if rnd.random() < 0.5 else b"[" + b",".join(records) + b"]"
    return splice(rnd, body) if rnd.random() < 0.1 else body


def of_door(door: str, rnd: random.Random, project_id: int) -> Request:
    """One hostile request to this door."""
    now = datetime.now(UTC) - timedelta(seconds=rnd.choice((0, 0, 5, 10**5, 10**9, -500)))
    paths = {"envelope": f"/api/{project_id}/envelope/", "store": f"/api/{project_id}/store/", "tunnel": "/api/tunnel/",
             "errors": "/api/errors/", "client": "/api/errors/client", "batch": "/api/errors/batch",
             "track": "/api/analytics/track"}  # fmt: skip
    dsn = f"http://{KEY}@127.0.0.1:8000/{project_id}" if door == "tunnel" else ""
    made = {
        "envelope": lambda: envelope(rnd, now), "tunnel": lambda: envelope(rnd, now, dsn),
        "store": lambda: document(rnd, event(rnd, now)), "batch": lambda: batch(rnd, now),
        "track": lambda: document(rnd, tracked(rnd, now)),
    }  # fmt: skip
    body = made.get(door, lambda: document(rnd, record(rnd, now)))()
    if rnd.random() < 0.02:
        body = rnd.randbytes(rnd.randrange(300))
    return dressed(rnd, Request(door, paths[door], body, {"HTTP_X_SENTRY_AUTH": f"Sentry sentry_key={KEY}"}))


def dressed(rnd: random.Random, request: Request) -> Request:
    """Its coding and headers: mostly sound, so that what is inside is reached."""
    if rnd.random() < 0.3:
        coding = rnd.choice(list(PACKERS))
        request.body = PACKERS[coding](request.body)
        request.environ["HTTP_CONTENT_ENCODING"] = coding
        if rnd.random() < 0.2:
            request.body = splice(rnd, request.body)
    if rnd.random() < 0.03:
        request.environ["HTTP_CONTENT_ENCODING"] = rnd.choice(CODINGS)
    if rnd.random() < 0.03:
        request.environ["CONTENT_LENGTH"] = rnd.choice(
            ["", "-1", "0", "5", "x", "9" * 17, "9" * 30, "\xb2", None]
        )
    if rnd.random() < 0.05:
        request.environ["CONTENT_TYPE"] = rnd.choice(
            ["", "text/plain", "application/x-ndjson", "a/b; charset=x", "\0", "é"]
        )
    if rnd.random() < 0.05:
        name = rnd.choice(HEADERS)
        request.environ[name] = rnd.choice(
            ["", "\0", "\xff" * 9, "a\r\nb: c", "x" * 9000, "*", "null", "a=b; c=\xe9"]
        )
    if rnd.random() < 0.03:
        request.environ["HTTP_X_SENTRY_AUTH"] = rnd.choice(
            ["", f"Sentry sentry_key={FOREIGN_KEY}", "Sentry", "\xff", "x" * 3000]
        )
    if rnd.random() < 0.05:
        request.environ["QUERY_STRING"] = rnd.choice(
            [f"sentry_key={KEY}", "a=%zz&%00=%ff", "&" * 500, "sentry_key=%ff", "\xe9"]
        )
    if rnd.random() < 0.01:
        request.path += rnd.choice(["\0", "%2f", "/", "x", "\xe9", "?"])
    return request
