"""The Sentry envelope: a JSON header line, then items, each a JSON header line and a payload.

Only headers are decoded here; payloads stay slices of the body. What is wrong with the frame itself (headers, lengths,
counts) refuses the envelope; an item over its own limit is dropped and counted, and its neighbours are kept.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.projects.event_id import parse_event_id

MAX_HEADER_BYTES = 8 * 1024
MAX_ITEMS = 100
MAX_TYPE_CHARS = 40
_KIB = 1024
# What one item of a type may hold; DEFAULT_ITEM_BYTES for every other type.
ITEM_BYTES: Mapping[str, int] = {
    "event": 1024 * _KIB,
    "transaction": 1024 * _KIB,
    "session": 16 * _KIB,
    "sessions": 100 * _KIB,
    "check_in": 100 * _KIB,
    "client_report": 16 * _KIB,
    "feedback": 256 * _KIB,
    "user_report": 64 * _KIB,
    "attachment": 256 * _KIB,
}
DEFAULT_ITEM_BYTES = 1024 * _KIB


class EnvelopeRefused(Refused):
    """The frame of the envelope is wrong: a header, a length or the count of items."""


@dataclass(slots=True, frozen=True)
class Item:
    """One item: its type, its header line (type included) and its undecoded payload."""

    type: str
    headers: dict[str, Any]
    payload: bytes


@dataclass(slots=True)
class Envelope:
    """`event_id` is 32 lower-case hex digits or None; `dropped` counts items over their limit, by type."""

    header: dict[str, Any]
    event_id: str | None = None
    items: list[Item] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def split(body: bytes, *, item_bytes: Mapping[str, int] = ITEM_BYTES, max_items: int = MAX_ITEMS) -> Envelope:
    """The envelope behind an unpacked body. Raises Refused (400), its field `header…` or `items[n]…`."""
    header, position = _header(body, 0, "header")
    envelope = Envelope(header, parse_event_id(header.get("event_id"), "header.event_id"))
    position = _next_item(body, position)
    for index in range(max_items):
        if position >= len(body):
            return envelope
        item, position = _item(body, position, f"items[{index}]")
        if len(item.payload) > item_bytes.get(item.type, DEFAULT_ITEM_BYTES):
            envelope.dropped[item.type] += 1
        else:
            envelope.items.append(item)
        position = _next_item(body, position)
    if position < len(body):
        raise EnvelopeRefused("too_many_items", f"more than {max_items} items", "items")
    return envelope


def _next_item(body: bytes, position: int) -> int:
    """Past the newline that ends a payload, and past empty lines: some senders end an envelope with two."""
    while body[position : position + 1] == b"\n":
        position += 1
    return position


def _header(body: bytes, start: int, where: str) -> tuple[dict[str, Any], int]:
    """The JSON object of the line at `start`, and the position after its newline (or at the end of the body)."""
    end = body.find(b"\n", start, start + MAX_HEADER_BYTES + 1)
    if end < 0:
        end = len(body)
        if end - start > MAX_HEADER_BYTES:
            raise EnvelopeRefused("too_large", f"a header line longer than {MAX_HEADER_BYTES} bytes", where)
    try:
        decoded = jsontext.decode(body[start:end])
    except jsontext.JsonRefused as refused:
        path = f"{where}.{refused.field}" if refused.field else where
        raise EnvelopeRefused(refused.code, refused.message, path) from refused
    if not isinstance(decoded, dict):
        raise EnvelopeRefused("not_an_object", "not a JSON object", where)
    return decoded, min(end + 1, len(body))


def _item(body: bytes, start: int, where: str) -> tuple[Item, int]:
    headers, position = _header(body, start, where)
    kind = headers.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE_CHARS:
        raise EnvelopeRefused(
            "required", f"an item needs a type of 1 to {MAX_TYPE_CHARS} characters", f"{where}.type"
        )
    end = _payload_end(body, position, headers.get("length"), f"{where}.length")
    return Item(kind, headers, body[position:end]), end


def _payload_end(body: bytes, start: int, length: object, where: str) -> int:
    """With a length exactly there, where a newline or the end must follow; without one at the next newline."""
    if length is None:
        end = body.find(b"\n", start)
        return end if end >= 0 else len(body)
    if type(length) is not int or length < 0:
        raise EnvelopeRefused("invalid_length", "not a whole number of bytes", where)
    end = start + length
    if end > len(body):
        raise EnvelopeRefused("invalid_length", "longer than what was sent", where)
    if body[end : end + 1] not in (b"", b"\n"):
        raise EnvelopeRefused("invalid_length", "no newline where the payload should end", where)
    return end
