"""From a container of streamed spans to Requests: newer SDKs send no transactions, but the spans of each as they end.

A segment is the span that a transaction used to be: the first one of a request, a page or a task in its service. The
spans below it are passed over.
"""

import re
from typing import Any

import msgspec

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.projects.intake import Intake
from apps.telemetry import transactions
from apps.telemetry.reported import Request

# An SDK sends a container for each trace, so a few of them come together; a stranger may send a million.
MOST_SEGMENTS = 200
_TRACE = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"[0-9a-f]{16}")
_METHOD = re.compile(r"[A-Z]{3,10}")
_NAME = ("sentry.segment.name", "sentry.transaction")
_SOURCE = ("sentry.segment.name.source", "sentry.span.source", "sentry.source")
_PAGES = ("pageload", "navigation")


class _Span(msgspec.Struct):
    """The fields that are read; each may hold anything. Most spans are passed over with their attributes undecoded."""

    name: Any = None
    trace_id: Any = None
    span_id: Any = None
    start_timestamp: Any = None
    end_timestamp: Any = None
    is_segment: Any = None
    status: Any = None
    attributes: msgspec.Raw = msgspec.Raw(b"null")


class _Container(msgspec.Struct):
    items: list[_Span]


_decoder = msgspec.json.Decoder(_Container)


def read(raw: bytes, intake: Intake) -> list[Request]:
    """The segments of one container as JSON, MOST_SEGMENTS at most. Raises Refused for what is no container."""
    try:
        spans = _decoder.decode(raw).items
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):  # damaged, or merely unusual
        spans = _with_care(raw)
    segments = [span for span in spans if span.is_segment is True and _is_named(span)]
    return [transactions.from_sentry(_transaction(span), intake) for span in segments[:MOST_SEGMENTS]]


def _with_care(raw: bytes) -> list[_Span]:
    decoded = jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
    items = decoded.get("items") if isinstance(decoded, dict) else None
    if not isinstance(items, list):
        raise Refused("required", "a list of spans", "items")
    names = [name for name in _Span.__struct_fields__ if name != "attributes"]
    return [
        _Span(
            **{name: item.get(name) for name in names},
            attributes=msgspec.Raw(msgspec.json.encode(item.get("attributes"))),
        )
        for item in items
        if isinstance(item, dict)
    ]


def _is_named(span: _Span) -> bool:
    """By ids that make it the same one when it comes again."""
    trace_id, span_id = span.trace_id, span.span_id
    if not (isinstance(trace_id, str) and isinstance(span_id, str)):
        return False
    return bool(_TRACE.fullmatch(trace_id) and _SPAN.fullmatch(span_id))


def _transaction(span: _Span) -> dict[str, Any]:
    """The same facts where a transaction has them."""
    said = _attributes(span)
    op = said.get("sentry.op")
    is_page = "browser.name" in said or (isinstance(op, str) and op.startswith(_PAGES))
    name, source = _name(span, said)
    user = {key: said.get(f"user.{key}") for key in ("id", "name", "email", "ip_address")}
    return {
        "event_id": f"{span.trace_id[16:]}{span.span_id}",
        "transaction": name,
        "transaction_info": {"source": source},
        "start_timestamp": span.start_timestamp,
        "timestamp": span.end_timestamp,
        "contexts": {
            "trace": {
                "op": op,
                "status": span.status,
                "data": {"http.response.status_code": said.get("http.response.status_code")},
            }
        },
        "request": {"headers": {"User-Agent": said.get("user_agent.original")}},
        "user": {**user, "username": user["name"]},
        "tags": {"component": said.get("component")},
        "platform": "javascript" if is_page else None,
    }


def _attributes(span: _Span) -> dict[str, Any]:
    """{name: value} of {name: {value, type}}."""
    try:
        decoded = jsontext.decode(bytes(span.attributes), max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
    except jsontext.JsonRefused:
        return {}
    if not isinstance(decoded, dict):
        return {}
    return {name: held.get("value") for name, held in decoded.items() if isinstance(held, dict)}


def _name(span: _Span, said: dict[str, Any]) -> tuple[Any, Any]:
    """The segment's name and what kind of name it is; what only says the method, or that a page was opened, is given
    its path.
    """
    name = next((said[key] for key in _NAME if isinstance(said.get(key), str)), span.name)
    path = said.get("url.path")
    if isinstance(name, str) and isinstance(path, str):
        if _METHOD.fullmatch(name):
            return f"{name} {path}", "url"
        if name.lower() in _PAGES:
            return path, "url"
    return name, next((said[key] for key in _SOURCE if isinstance(said.get(key), str)), None)
