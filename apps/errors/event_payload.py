"""What of a Sentry event is kept for its page, picked before it is scrubbed.

Left out by construction: the user, request data, cookies, and the values of every header that is not known to be
harmless. Wrong types are left out too: a program that fails must not be refused for how it reports that.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from apps.core.scrub import REMOVED
from apps.errors.new_event import MAX_TAG, MAX_TAGS

MAX_EXCEPTIONS = 20
MAX_FRAMES = 100
MAX_BREADCRUMBS = 100
MAX_QUERY_FIELDS = 100
MAX_HEADERS = 64

_FRAME_KEYS = frozenset((
    "function", "module", "filename", "abs_path", "lineno", "colno", "pre_context", "context_line", "post_context",
    "in_app", "vars", "platform",
))  # fmt: skip
_BREADCRUMB_KEYS = frozenset(("type", "category", "level", "message", "timestamp", "data"))
_EXCEPTION_KEYS = frozenset(("type", "value", "module"))
_MECHANISM_KEYS = frozenset(("type", "handled", "synthetic"))
_SERVER_KEYS = frozenset(("SERVER_NAME", "SERVER_PORT"))
_PLAIN_KEYS = ("logger", "transaction", "dist", "sdk", "modules", "extra")
# Names of headers that say nothing about the person; of all others only the name is kept.
_HARMLESS_HEADERS = frozenset((
    "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding",
    "content-length", "content-type", "dnt", "expect", "host", "if-modified-since", "if-none-match", "origin",
    "pragma", "range", "referer", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest",
    "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "te", "traceparent", "transfer-encoding", "upgrade",
    "user-agent", "via", "x-request-id", "x-correlation-id", "x-requested-with",
))  # fmt: skip


def kept_of(event: dict[str, Any]) -> dict[str, Any]:
    """The part of a decoded event that may be stored once it is scrubbed: JSON, a new object, values shared."""
    kept: dict[str, Any] = {
        # The scrubber stops at a count of values: what matters most stands first.
        "tags": pairs_of(event.get("tags"), MAX_TAGS),
        "exceptions": _exceptions(event),
    }
    if isinstance(event.get("request"), dict):
        kept["request"] = _request(event["request"])
    if isinstance(event.get("contexts"), dict):
        kept["contexts"] = _contexts(event["contexts"])
    kept["breadcrumbs"] = [
        _picked(crumb, _BREADCRUMB_KEYS) for crumb in _values(event.get("breadcrumbs"), MAX_BREADCRUMBS)
    ]
    return kept | {key: event[key] for key in _PLAIN_KEYS if event.get(key)}


def _picked(source: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """What has one of the keys and is not null; mostly that is everything, and then it is the source itself."""
    if source.keys() <= keys and None not in source.values():
        return source
    return {key: value for key, value in source.items() if key in keys and value is not None}


def _values(interface: object, most: int) -> list[dict[str, Any]]:
    """The last `most` objects of `[…]` or `{"values": […]}`, as the protocol allows both; a single one counts."""
    if isinstance(interface, dict):
        interface = interface.get("values", [interface])
    if not isinstance(interface, list):
        return []
    return [value for value in interface[-most:] if isinstance(value, dict)]


def _exceptions(event: dict[str, Any]) -> list[dict[str, Any]]:
    found = [_exception(value) for value in _values(event.get("exception"), MAX_EXCEPTIONS)]
    if found:
        return found
    # A message with a stack: its frames stand alone or in the thread that crashed.
    threads = [thread for thread in _values(event.get("threads"), MAX_EXCEPTIONS) if thread.get("stacktrace")]
    current = [t for t in threads if t.get("crashed") or t.get("current")] or threads[:1]
    stacks = [event.get("stacktrace"), *(thread["stacktrace"] for thread in current)]
    return [{"stacktrace": _stack(stack)} for stack in stacks if isinstance(stack, dict)][:1]


def _exception(value: dict[str, Any]) -> dict[str, Any]:
    kept = dict(_picked(value, _EXCEPTION_KEYS))
    mechanism = value.get("mechanism")
    if isinstance(mechanism, dict):
        kept["mechanism"] = _picked(mechanism, _MECHANISM_KEYS)
    if isinstance(value.get("stacktrace"), dict):
        kept["stacktrace"] = _stack(value["stacktrace"])
    return kept


def _stack(stack: dict[str, Any]) -> dict[str, Any]:
    """At most MAX_FRAMES frames: of a longer stack the first tenth and the last, where it broke."""
    frames = stack.get("frames")
    if not isinstance(frames, list):
        return {"frames": []}
    left_out = max(len(frames) - MAX_FRAMES, 0)
    if left_out:
        frames = frames[: MAX_FRAMES // 10] + frames[-(MAX_FRAMES - MAX_FRAMES // 10) :]
    kept: dict[str, Any] = {
        "frames": [_picked(frame, _FRAME_KEYS) for frame in frames if isinstance(frame, dict)]
    }
    if left_out:
        kept["left_out"] = left_out
    return kept


def pairs_of(pairs: object, most: int) -> dict[str, str]:
    """Tags or headers, given as object or as list of pairs, as short texts."""
    found: dict[str, str] = {}
    for key, value in _each_pair(pairs):
        if len(found) >= most:
            break
        if isinstance(key, str) and isinstance(value, str | int | float):
            found[key[:MAX_TAG]] = value[:MAX_TAG] if isinstance(value, str) else str(value).lower()[:MAX_TAG]
    return found


def _each_pair(pairs: object) -> Iterable[tuple[Any, Any]]:
    if isinstance(pairs, dict):
        return pairs.items()
    if isinstance(pairs, list):
        return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    return ()


def _request(request: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"method": request["method"]} if request.get("method") is not None else {}
    if isinstance(request.get("url"), str):
        address, _, query = request["url"].partition("?")
        kept["url"] = address.partition("#")[0]
        kept["query"] = query_fields(request.get("query_string") or query.partition("#")[0])
    elif request.get("query_string"):
        kept["query"] = query_fields(request["query_string"])
    kept["headers"] = _headers(request.get("headers"))
    if isinstance(request.get("env"), dict):
        kept["env"] = _picked(request["env"], _SERVER_KEYS)
    return kept


def query_fields(query: object) -> list[list[str]]:
    """A query string, decoded into [name, value] so that the scrubber can tell them apart."""
    if isinstance(query, str):
        try:
            pairs: Iterable[tuple[Any, Any]] = parse_qsl(
                query.lstrip("?")[:8192],
                keep_blank_values=True,
                max_num_fields=MAX_QUERY_FIELDS,
                errors="replace",
            )
        except ValueError:  # too many fields
            return [[REMOVED, ""]]
    else:
        pairs = _each_pair(query)
    return [[key, value] for key, value in list(pairs)[:MAX_QUERY_FIELDS] if isinstance(key, str)]


def _headers(headers: object) -> dict[str, str]:
    return {
        name: value if name.lower() in _HARMLESS_HEADERS else REMOVED
        for name, value in pairs_of(headers, MAX_HEADERS).items()
    }


def _contexts(contexts: dict[str, Any]) -> dict[str, Any]:
    """All contexts but those about the person; a device's own name is often its owner's."""
    kept = {name: value for name, value in contexts.items() if name not in ("user", "geo") and value}
    if isinstance(kept.get("device"), dict):
        kept["device"] = {
            k: v for k, v in kept["device"].items() if k not in ("name", "device_unique_identifier")
        }
    return kept
