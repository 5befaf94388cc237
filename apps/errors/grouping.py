"""Which error group an event belongs to: a fingerprint that stays the same for the same failure and no other.

The sender's fingerprint wins. Else it is the types of the exceptions and the places in the application's own code they
came through, without line numbers, addresses and generated names; without frames, the message with its variable parts
taken out.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

MAX_PARTS = 32
MAX_FRAMES = 40
MAX_EXCEPTIONS = 8
MAX_TITLE = 200
# Bump the number when the arithmetic changes: old groups then stop growing and new ones begin, knowingly.
_VERSION = "1"
_DEFAULT = re.compile(r"\s*\{\{\s*default\s*\}\}\s*")

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+|@[0-9a-f]{5,16}\b")
# Java's numbered lambdas, proxies and anonymous classes, Go's closures, bundlers' hashes.
_GENERATED = re.compile(
    r"\$\$(?:Lambda|EnhancerBy\w{0,40}|FastClassBy\w{0,40}|SpringCGLIB|Proxy)\$*[\w/$]*"
    r"|(?<=lambda\$)[\w]*\$?[0-9]+|\$[0-9]+|(?<=\.func)[0-9]+(?:\.[0-9]+)*"
)
_HASH = re.compile(r"(?<![0-9A-Za-z])(?=[a-f]*[0-9])[0-9a-f]{7,64}(?![0-9A-Za-z])")
_LONG_NUMBER = re.compile(r"[0-9]{5,}")
_JS_PREFIX = re.compile(r"(?:async |new |bound |get |set )+")

_UUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_MESSAGE_PARTS = re.compile(
    r"(?P<quoted>\"[^\"\n]{0,2000}\"|(?<!\w)'[^'\n]{0,2000}'(?!\w)|`[^`\n]{0,2000}`)"
    r"|(?P<url>\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,2000})"
    rf"|(?P<uuid>\b{_UUID}\b)"
    r"|(?P<email>(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})"
    r"|(?P<path>(?<![\w/])(?:[A-Za-z]:)?(?:[/\\][\w.@%+~-]{1,255}){2,64}[/\\]?)"
    r"|(?P<hex>\b0x[0-9a-fA-F]+\b|\b(?=[a-fA-F]{0,64}[0-9])(?=[0-9]{0,64}[a-fA-F])[0-9a-fA-F]{7,64}\b)"
    r"|(?P<number>(?<![A-Za-z_])[+-]?[0-9]+(?:[.,:][0-9]+)*)"
)


def fingerprint(
    exceptions: Sequence[dict[str, Any]], message: str, *, sent: object = None, error_type: str = ""
) -> str:
    """SHA-256 in hex. `exceptions` as in a Sentry event: root cause first, outermost frame first."""
    own = _parts(exceptions, message, error_type)
    parts = _sent_parts(sent, own) or own
    return sha256("\0".join((_VERSION, *parts)).encode("utf-8", "replace")).hexdigest()


def _sent_parts(sent: object, own: list[str]) -> list[str]:
    """The sender's fingerprint, `{{ default }}` in it replaced by our own; empty if there is none."""
    if isinstance(sent, str):
        sent = [sent]
    if not isinstance(sent, list):
        return []
    parts: list[str] = []
    for part in sent[:MAX_PARTS]:
        if isinstance(part, str) and _DEFAULT.fullmatch(part):
            parts.extend(own)
        elif isinstance(part, str | int | float):
            parts.append("sent:" + str(part)[:500])
    return parts


def _parts(exceptions: Sequence[dict[str, Any]], message: str, error_type: str) -> list[str]:
    chain = list(exceptions)[-MAX_EXCEPTIONS:]
    parts: list[str] = []
    placed = False
    for exception in chain:
        parts.append("type:" + normalise_name(_text(exception.get("type"))[:200]))
        places = _places(exception)
        parts += places
        placed = placed or bool(places)
    if not chain:
        parts.append("type:" + error_type)
    if not placed:
        said = message or (_text(chain[-1].get("value")) if chain else "")
        parts.append("message:" + normalise_message(said))
    return parts


def _places(exception: dict[str, Any]) -> list[str]:
    """Module and function of each frame of the application (of all, if none is), recursion folded.

    A place counts once however often it is passed through, so the depth of a recursion does not matter.
    """
    frames = frames_of(exception)
    ours = [frame for frame in frames if frame.get("in_app") is not False]
    places = dict.fromkeys(_place(frame) for frame in ours or frames)
    return [place for place in places if place][-MAX_FRAMES:]


def frames_of(exception: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of an exception that are frames."""
    stack = exception.get("stacktrace")
    frames = stack.get("frames") if isinstance(stack, dict) else None
    return [frame for frame in frames if isinstance(frame, dict)] if isinstance(frames, list) else []


def _place(frame: dict[str, Any]) -> str:
    module = _text(frame.get("module")) or _text(frame.get("filename")) or _text(frame.get("abs_path"))
    return _normalised_place(module[:500], _text(frame.get("function"))[:300])


@lru_cache(maxsize=4096)  # a program has few places, and errors pass through the same ones
def _normalised_place(module: str, function: str) -> str:
    place = normalise_name(_short_path(module))
    name = normalise_name(_JS_PREFIX.sub("", function))
    return f"frame:{place}:{name}" if place or name else ""


def _short_path(path: str) -> str:
    """The last two parts of a file's path or address, without its query: releases live in different folders."""
    plain = path.partition("?")[0].replace("\\", "/")
    return "/".join(plain.split("/")[-2:]) if "/" in plain else plain


def normalise_name(name: str) -> str:
    """A function, module or type without what the runtime or the bundler put into it."""
    if name.isalpha():
        return name
    name = _GENERATED.sub("*", _ADDRESS.sub("*", name))
    return _LONG_NUMBER.sub("*", _HASH.sub("*", name))


def normalise_message(message: str) -> str:
    """The first 500 characters with numbers, ids, addresses, paths, quoted texts and e-mail addresses as <kind>."""
    text = _MESSAGE_PARTS.sub(lambda match: f"<{match.lastgroup}>", message[:2000])
    return " ".join(text[:500].split())


def title_of(exceptions: Sequence[dict[str, Any]], message: str, error_type: str = "") -> str:
    """`Type: first line of the message`, what a group is listed by."""
    last = exceptions[-1] if exceptions else {}
    kind = _text(last.get("type")) or ("" if exceptions else error_type)
    said = (_text(last.get("value")) or message).strip()
    line = said.splitlines()[0].strip() if said else ""
    return _cut(f"{kind}: {line}" if kind and line else kind or line or "Error", MAX_TITLE)


def culprit_of(exceptions: Sequence[dict[str, Any]], route: str) -> str:
    """Where it happened: the route, else the innermost frame of the application."""
    if route:
        return _cut(route, MAX_TITLE)
    frames = [frame for exception in exceptions[-1:] for frame in frames_of(exception)]
    ours = [frame for frame in frames if frame.get("in_app") is not False]
    if not frames:
        return ""
    frame = (ours or frames)[-1]
    place = _text(frame.get("module")) or _text(frame.get("filename"))
    return _cut(" in ".join(_present((place, _text(frame.get("function"))))), MAX_TITLE)


def _present(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if text]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
