"""One line a record: words for people in development, JSON in production; the request's id on each."""

import logging
import re
from typing import Any

import structlog
from structlog.typing import EventDict

from apps.core import context
from apps.core.scrub import scrub_text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_BREAKS = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))


def add_context(_: Any, __: str, event: EventDict) -> EventDict:
    """Request id, actor and endpoint of the work at hand."""
    held = context._current.get()
    if held is not None:
        event.setdefault("request_id", held.request_id)
        if held.actor_label != "system":
            event.setdefault("actor", held.actor_label)
        if held.endpoint:
            event.setdefault("endpoint", held.endpoint)
    return event


def clean(_: Any, __: str, event: EventDict) -> EventDict:
    """Scrub every text, and escape line breaks and control characters: no forged log lines."""
    for key, value in event.items():
        if isinstance(value, str):
            hidden = _CONTROL_BUT_BREAKS if key == "exception" else _CONTROL
            event[key] = hidden.sub(lambda m: repr(m[0])[1:-1], scrub_text(value))
    return event


_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.format_exc_info,
    add_context,
    clean,
]


def formatter(as_json: bool = True) -> logging.Formatter:
    """The console's formatter, for structlog's and for the standard library's records alike."""
    end: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, end],
    )
