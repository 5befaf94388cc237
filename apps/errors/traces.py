"""Stack traces that arrive as text (Python, JavaScript, Java), read into the frames that Sentry SDKs send.

Exceptions come out in Sentry's order: the root cause first, what surfaced last; in each the outermost frame first.
Reading is line by line with one anchored pattern a line, so its cost is linear in the text.
"""

import re
from functools import lru_cache
from typing import Any

MAX_LINE = 1000
MAX_LINES = 2000
MAX_FRAMES = 100
MAX_EXCEPTIONS = 10

_LINE_KEPT = 300  # characters of a line whose frame is remembered
_PY_FRAME = re.compile(r'\s+File "([^"]{1,500})", line ([0-9]{1,9})(?:, in (.{1,300}))?')
_PY_HEAD = re.compile(r"[ |+-]*(?:Exception Group )?Traceback \(most recent call last\):")
_PY_LINK = re.compile(
    r"(?:The above exception was the direct cause|During handling of the above exception)", re.IGNORECASE
)
_PY_CARETS = re.compile(r"\s*[~^]+\s*")
_JAVA_FRAME = re.compile(r"\s*at ([\w$./@<>-]{1,400})\.([\w$<>-]{1,200})\(([^()]{0,300})\)")
_JAVA_CAUSE = re.compile(r"\s*Caused by: ")
_JAVA_SKIP = re.compile(r"\s*(?:\.\.\. [0-9]{1,6} (?:more|common frames omitted)|Suppressed: )")
_JS_CALL = re.compile(
    r"\s*at (?:async )?(?:(.{1,300}?) )?\(?(\S{1,500}?):([0-9]{1,9})(?::([0-9]{1,9}))?\)?\s*"
)
_JS_NATIVE = re.compile(r"\s*at (?:async )?(.{1,300}?) \((?:native|<anonymous>|eval[^()]{0,200})\)\s*")
# Firefox and Safari: function@address:line:column
_JS_AT_SIGN = re.compile(r"([^@\s]{0,300})@(\S{1,500}?):([0-9]{1,9})(?::([0-9]{1,9}))?\s*")
_EXCEPTION = re.compile(r"\s*(?:Uncaught )?(?:\(in promise\) )?([A-Za-z_$][\w$.:\\]{0,200}?)(?:: (.*)|:?\s*)")
_THREAD = re.compile(r'Exception in thread "[^"]{0,200}" ')
_NOT_OURS = (
    "/site-packages/", "/dist-packages/", "/lib/python", "node_modules", "<frozen ", "node:", "internal/", "native ",
    "<anonymous>", "-extension://",
)  # fmt: skip
_JAVA_NOT_OURS = (
    "java.", "javax.", "jdk.", "sun.", "com.sun.", "jakarta.", "kotlin.", "kotlinx.", "scala.", "org.springframework.",
    "org.apache.", "org.hibernate.", "org.junit.", "io.netty.", "reactor.",
)  # fmt: skip

Trace = dict[str, Any]


def parse_trace(text: str) -> list[Trace]:
    """Exceptions as {type, value, stacktrace: {frames}}; empty if the text is no trace that we know."""
    lines = [line[:MAX_LINE] for line in text.splitlines()]
    if len(lines) > MAX_LINES:  # an endless recursion: the first and the last lines say what it was
        lines = lines[: MAX_LINES // 2] + lines[-MAX_LINES // 2 :]
    if any(_PY_HEAD.match(line) for line in lines):
        found = _parse_python(lines)
    elif any(_is_java(line) for line in lines):
        found = _parse_java(lines)
    else:
        found = _parse_javascript(lines)
    return found[-MAX_EXCEPTIONS:]


def _exception(kind: str, value: str, frames: list[Trace]) -> Trace:
    return {"type": kind, "value": value, "stacktrace": {"frames": frames[-MAX_FRAMES:]}}


def _head(line: str) -> tuple[str, str]:
    """Type and value of a line such as `shop.Declined: card refused`; a line of plain words is all value."""
    match = _EXCEPTION.fullmatch(line)
    if match is None or (match[2] is None and " " in line.strip()):
        return "", line.strip()
    return match[1], (match[2] or "").strip()


def _parse_python(lines: list[str]) -> list[Trace]:
    found: list[Trace] = []
    frames: list[Trace] | None = None
    for line in lines:
        if _PY_HEAD.match(line):
            frames = []
        elif frames is None or not line.strip() or _PY_LINK.match(line):
            continue
        elif match := _PY_FRAME.match(line):
            frames.append(_python_frame(match))
        elif line[0] in " |+":
            if frames and "context_line" not in frames[-1] and not _PY_CARETS.fullmatch(line):
                frames[-1]["context_line"] = line.strip()
        else:
            found.append(_exception(*_head(line), frames))
            frames = None
    return found


def _python_frame(match: re.Match[str]) -> Trace:
    filename, line, function = match.groups()
    return {
        "filename": filename,
        "lineno": int(line),
        "function": (function or "<module>").strip(),
        "in_app": _is_ours(filename),
    }


def _is_java(line: str) -> bool:
    match = _JAVA_FRAME.match(line)
    return (match is not None and ".java:" in line) or ".kt:" in line or "(Native Method)" in line


def _parse_java(lines: list[str]) -> list[Trace]:
    found: list[Trace] = []
    for line in lines:
        if (match := _JAVA_FRAME.match(line)) and found:
            found[-1]["stacktrace"]["frames"].append(_java_frame(match))
        elif _JAVA_CAUSE.match(line):
            found.append(_exception(*_head(_JAVA_CAUSE.sub("", line, count=1)), []))
        elif not found and line.strip() and not match:
            found.append(_exception(*_head(_THREAD.sub("", line, count=1)), []))
        elif _JAVA_SKIP.match(line):
            continue
    return _outermost_first(found)


def _java_frame(match: re.Match[str]) -> Trace:
    module, function, place = match.groups()
    filename, _, line = place.partition(":")
    frame: Trace = {
        "module": module.rpartition("/")[2],
        "function": function,
        "filename": filename,
        "in_app": not module.startswith(_JAVA_NOT_OURS),
    }
    if line.isascii() and line.isdigit():
        frame["lineno"] = int(line[:9])
    return frame


def _parse_javascript(lines: list[str]) -> list[Trace]:
    found: list[Trace] = []
    said: list[str] = []
    for line in lines:
        frame = _javascript_frame(line)
        if frame is not None:
            if not found:
                found.append(_exception(*_head(" ".join(said[:1])), []))
            found[-1]["stacktrace"]["frames"].append(frame)
        elif line.strip().startswith(("Caused by: ", "[cause]: ")):
            found.append(_exception(*_head(line.strip().partition(": ")[2].rstrip(" {")), []))
        elif not found and line.strip():
            said.append(line)
    return _outermost_first(found) if any(e["stacktrace"]["frames"] for e in found) else []


def _javascript_frame(line: str) -> Trace | None:
    read = _javascript_line(line) if len(line) <= _LINE_KEPT else _javascript_line.__wrapped__(line)
    return dict(read) if read else None


@lru_cache(maxsize=2048)
def _javascript_line(line: str) -> tuple[tuple[str, Any], ...] | None:
    """A frame's fields; senders repeat the same lines over and over."""
    match = _JS_CALL.fullmatch(line) or _JS_AT_SIGN.fullmatch(line)
    if match is None:
        native = _JS_NATIVE.fullmatch(line)
        return (("function", native[1]), ("filename", "<anonymous>"), ("in_app", False)) if native else None
    function, filename, line_number, column = match.groups()
    frame = (
        ("function", function or "<anonymous>"), ("filename", filename), ("lineno", int(line_number)),
        ("in_app", _is_ours(filename)),
    )  # fmt: skip
    return (*frame, ("colno", int(column))) if column else frame


def _is_ours(filename: str) -> bool:
    return not any(part in filename for part in _NOT_OURS)


def _outermost_first(found: list[Trace]) -> list[Trace]:
    """Java and JavaScript write what surfaced first and the innermost frame first; turn both round."""
    for exception in found:
        frames = exception["stacktrace"]["frames"][:MAX_FRAMES]
        exception["stacktrace"]["frames"] = frames[::-1]
    return found[::-1]
