"""JSON from strangers: decoded at full speed when it is well formed, repaired or refused by name when it is not.

Numbers are those of the fast decoder in both paths: whole numbers that fit 64 bits are exact, others become floats, and
what is not finite is refused. Duplicate keys: the last wins. NUL and lone surrogates become U+FFFD in values and keys,
because PostgreSQL cannot hold the first, UTF-8 not the second, and refusing them would lose real errors whose text was
cut in the middle of an emoji.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

from apps.core.refusal import Refused

MAX_DEPTH = 32
# SDKs nest local variables and contexts more deeply than our own routes need.
MAX_EVENT_DEPTH = 256
MAX_KEYS = 1000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_BROKEN = re.compile("[\0\ud800-\udfff]")
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_INT64_DIGITS = 20


class JsonRefused(Refused):
    """Not JSON, not UTF-8, too deep, too many keys, or a number that is not finite."""


class _NotFinite:
    """Stands for NaN, Infinity or 1e400 until its path is known."""


def decode(raw: bytes | str, *, max_depth: int = MAX_DEPTH, max_keys: int | None = MAX_KEYS) -> Any:
    """The decoded document. Raises JsonRefused.

    `max_keys` bounds each object (None: unbounded, for callers that cut what they keep). The size of `raw` is the
    caller's to bound: time and memory are linear in it.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    try:
        value = orjson.loads(data)
        if b"\\u0000" in data:
            value = _repaired(value)
    except orjson.JSONDecodeError:
        value = _decode_slowly(data)
    except RecursionError:  # only repairing recurses, and the fast decoder allows four digits of depth
        raise _too_deep(max_depth) from None
    # Counting bytes is far cheaper than walking, and for nearly all documents it settles both questions.
    if data.count(b"{") + data.count(b"[") > max_depth and _is_deeper(value, max_depth):
        raise _too_deep(max_depth)
    if max_keys is not None and data.count(b":") > max_keys:
        _refuse_many_keys(value, max_keys)
    return value


def has_more_values(raw: bytes, limit: int) -> bool:
    """Whether a document holds more than about `limit` values, without decoding it: some 60 bytes of memory each.

    Commas, colons and opening brackets are counted; those within texts only where it matters.
    """
    if _marks(raw) <= limit:
        return False
    return _marks(_TEXT.sub(b"", raw)) > limit


def _marks(raw: bytes) -> int:
    return sum(raw.count(mark) for mark in (b",", b":", b"[", b"{"))


def repair_text(text: str) -> str:
    """NUL and lone surrogates as U+FFFD."""
    return _BROKEN.sub(REPLACEMENT, text)


def _too_deep(limit: int) -> JsonRefused:
    return JsonRefused("too_deep", f"nested more than {limit} levels deep")


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether anything lies below `limit` nested containers; level by level, so without recursion."""
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def _children(node: Any) -> Any:
    if type(node) is dict:
        return node.values()
    return node if type(node) is list else ()


def _steps(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    """The children of a node, each with its path; paths stop growing where nobody would read them."""
    if type(node) is dict:
        for key, child in node.items():
            yield (f"{path}.{key[:40]}" if path else key[:40])[:200], child
    elif type(node) is list:
        for index, child in enumerate(node):
            yield f"{path}[{index}]"[:200], child


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value with its path, parents first; iterators instead of recursion keep memory and stack small."""
    open_nodes = [iter([("", value)])]
    while open_nodes:
        step = next(open_nodes[-1], None)
        if step is None:
            open_nodes.pop()
            continue
        yield step
        open_nodes.append(_steps(*step))


def _refuse_many_keys(value: Any, limit: int) -> None:
    for path, node in _walk(value):
        if type(node) is dict and len(node) > limit:
            raise JsonRefused("too_many_keys", f"an object of more than {limit} keys", path)


def _repaired(value: Any) -> Any:
    if type(value) is str:
        return repair_text(value)
    if type(value) is dict:
        return {repair_text(key): _repaired(child) for key, child in value.items()}
    return [_repaired(child) for child in value] if type(value) is list else value


def _decode_slowly(data: bytes) -> Any:
    """Lone surrogates repaired, or the reason why it is no JSON."""
    refused_numbers: list[str] = []

    def not_finite(text: str) -> Any:
        refused_numbers.append(text[:9])
        return _NotFinite()

    def whole(text: str) -> Any:
        if len(text) < _INT64_DIGITS:
            return int(text)
        number = _large(text) if len(text) <= 4000 else math.inf
        return number if abs(number) != math.inf else not_finite(text)

    def real(text: str) -> Any:
        number = float(text)
        return number if math.isfinite(number) else not_finite(text)

    try:
        text = data.removeprefix(_BOM).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise JsonRefused("bad_encoding", f"not UTF-8 at byte {error.start}") from error
    try:
        value = json.loads(text, parse_constant=not_finite, parse_int=whole, parse_float=real)
        if refused_numbers:
            raise _number_refused(value)
        return _repaired(value)
    except json.JSONDecodeError as error:
        raise JsonRefused("bad_json", f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError:
        raise JsonRefused("too_deep", "nested too deeply") from None


def _large(text: str) -> int | float:
    """A whole number of 20 characters or more: exact if it fits 64 bits, else the nearest float, as orjson has it."""
    number = int(text)
    if -(2**63) <= number < 2**64:
        return number
    return float(text)


def _number_refused(value: Any) -> JsonRefused:
    path = next((path for path, node in _walk(value) if type(node) is _NotFinite), "")
    return JsonRefused("bad_number", "a number that is not finite", path)
