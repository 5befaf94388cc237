"""From a transaction of an SDK to one Request: how long, how it ended, which endpoint, which component.

Only the few fields that are needed are decoded: the spans, which are most of a transaction, are passed over.
"""

from datetime import datetime
from typing import Any

import msgspec

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.core.text import storable
from apps.projects import routing
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, device_of, identity_of, parse_time, place_in_time, user_hash
from apps.telemetry import endpoints
from apps.telemetry.models import RequestKind
from apps.telemetry.reported import Request

# Statuses of a trace that stand for 5xx. What the caller did wrong, or ended, is no failure of the service.
FAILED = frozenset((
    "internal_error", "unknown_error", "unknown", "unavailable", "deadline_exceeded", "unimplemented", "data_loss",
    "error",
))  # fmt: skip
_NOT_SAID = frozenset(("", "unset"))
_REQUESTS = (
    "http.server",
    "asgi.server",
    "wsgi.server",
    "rpc.server",
    "grpc.server",
    "websocket.server",
    "function",
)
_PAGES = ("pageload", "navigation", "ui.")
_TASKS = ("queue.", "task", "celery", "cron", "job", "rq", "huey", "arq", "ray")
_BROWSER = "javascript"
_LONGEST_MS = 10.0**9


class _Sent(msgspec.Struct):
    """The fields that are read; each may hold anything."""

    event_id: Any = None
    transaction: Any = None
    transaction_info: Any = None
    start_timestamp: Any = None
    timestamp: Any = None
    contexts: Any = None
    request: Any = None
    user: Any = None
    tags: Any = None
    platform: Any = None


_decoder = msgspec.json.Decoder(_Sent)


def read(raw: bytes, intake: Intake) -> Request:
    """One transaction as JSON. Raises Refused for what is no JSON object."""
    try:
        sent = _decoder.decode(raw)
    except (
        msgspec.DecodeError,
        RecursionError,
        UnicodeDecodeError,
    ):  # damaged, or merely unusual: read with more care
        decoded = jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
        return from_sentry(decoded, intake)
    return _request(sent, intake)


def from_sentry(transaction: Any, intake: Intake) -> Request:
    """One decoded transaction. Wrong fields are left out; Refused only if it is no object or its id no id."""
    if not isinstance(transaction, dict):
        raise Refused("not_an_object", "a transaction is a JSON object", "transaction")
    picked = {name: transaction.get(name) for name in _Sent.__struct_fields__}
    return _request(_Sent(**picked), intake)


def _request(sent: _Sent, intake: Intake) -> Request:
    trace, tags = _object(_object(sent.contexts).get("trace")), _pairs(sent.tags)
    status_code = _status_code(sent, trace, tags)
    ended = parse_time(sent.timestamp)
    occurred_at, usable = place_in_time(ended, intake.received_at)
    identity = identity_of(sent.user)
    endpoint = storable(endpoints.named(sent.transaction, is_address=_is_address(sent)))
    default = routing.CLIENT_COMPONENT if sent.platform == _BROWSER else routing.DEFAULT_COMPONENT
    return Request(
        event_id=parse_event_id(sent.event_id) or intake.event_id,
        project_id=intake.project_id,
        occurred_at=occurred_at,
        received_at=intake.received_at,
        time_is_usable=usable,
        component_name=storable(routing.placed(tags.get("component"), endpoint, intake, default)[0]),
        kind=kind_of(trace.get("op"), has_status=status_code is not None),
        endpoint=endpoint,
        device=_device(sent),
        failed=has_failed(status_code, trace.get("status")),
        duration_ms=_duration_ms(parse_time(sent.start_timestamp), ended),
        user_hash=user_hash(intake.hash_key, intake.project_id, identity) if identity else None,
    )


def kind_of(op: object, *, has_status: bool) -> str:
    """By the operation's name; one without any was a request if it ended with a status code."""
    named = op.strip().lower() if isinstance(op, str) else ""
    for kind, starts in (
        (RequestKind.REQUEST, _REQUESTS),
        (RequestKind.PAGE, _PAGES),
        (RequestKind.TASK, _TASKS),
    ):
        if named.startswith(starts):
            return kind.value
    return (RequestKind.REQUEST if has_status and named in ("", "default") else RequestKind.OTHER).value


def has_failed(status_code: int | None, status: object) -> bool | None:
    """5xx, or a status of the trace that stands for it; the code decides where both are there. None: nobody said."""
    if status_code is not None:
        return status_code >= 500
    named = status.strip().lower() if isinstance(status, str) else ""
    return None if named in _NOT_SAID else named in FAILED


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(tags: object) -> dict[str, Any]:
    """Tags come as an object or as a list of pairs."""
    if isinstance(tags, list):
        return {pair[0]: pair[1] for pair in tags if _is_pair(pair)}
    return _object(tags)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)


def _is_address(sent: _Sent) -> bool:
    """Routes, views and tasks are names already; whoever does not say what it is may have sent an address."""
    source = _object(sent.transaction_info).get("source")
    return source not in ("route", "view", "component", "task")


def _status_code(sent: _Sent, trace: dict[str, Any], tags: dict[str, Any]) -> int | None:
    """From the response's context, the trace's data, or the tag that SDKs used to set."""
    response = _object(_object(sent.contexts).get("response"))
    for value in (
        response.get("status_code"),
        _object(trace.get("data")).get("http.response.status_code"),
        tags.get("http.status_code"),
    ):
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if len(text) == 3 and text.isascii() and text.isdecimal():
            return int(text)
    return None


def _duration_ms(start: datetime | None, end: datetime | None) -> float | None:
    """From start to end; None where one is missing, or the clock went back."""
    if start is None or end is None or end < start:
        return None
    return min((end - start).total_seconds() * 1000, _LONGEST_MS)


def _device(sent: _Sent) -> str:
    headers = _object(sent.request).get("headers")
    pairs = _pairs(headers)
    return device_of(next((v for k, v in pairs.items() if k.lower() == "user-agent"), None))
