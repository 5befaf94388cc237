"""JSON of any form: a mapping says by dotted paths where title, severity, key, state and component stand. Pure."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from apps.alerts.doors import register
from apps.alerts.doors.events import MOST_TEXT, RESOLVE, TRIGGER, Event, Heard, mapping, web_address
from apps.core.refusal import Refused

PARTS = ("title", "key", "state", "severity", "component", "sentence", "url")
MOST_DEPTH = 16
RESOLVED_WORDS = (
    "resolved",
    "resolve",
    "ok",
    "up",
    "closed",
    "recovered",
    "normal",
    "inactive",
    "false",
    "0",
)
_PATH = re.compile(r"[A-Za-z0-9_@-]{1,80}(\.[A-Za-z0-9_@-]{1,80})*")


def check_mapping(given: Any) -> None:
    """Raises Refused by part: paths are names joined by dots, numbers count in lists, and nothing is evaluated."""
    for name, path in mapping(given, "mapping").items():
        if name == "resolved_words":
            _check_words(path)
        elif name not in PARTS:
            raise Refused(
                "unknown", f"is not one of {', '.join(PARTS)}, resolved_words", f"mapping.{name[:40]}"
            )
        elif path != "" and not _is_path(path):
            raise Refused("invalid", "names joined by dots, such as alert.labels.name", f"mapping.{name}")
    if not given.get("title"):
        raise Refused("required", "say where the title stands", "mapping.title")


def _is_path(path: Any) -> bool:
    return isinstance(path, str) and bool(_PATH.fullmatch(path)) and path.count(".") < MOST_DEPTH


def _check_words(words: Any) -> None:
    fits = (
        isinstance(words, list)
        and len(words) <= 20
        and all(isinstance(w, str) and len(w) <= 80 for w in words)
    )
    if not fits:
        raise Refused("invalid", "must be a list of at most 20 short words", "mapping.resolved_words")


def at_path(document: Any, path: str) -> Any:
    """What stands there; None where a step leads nowhere."""
    here = document
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list) and step.isdecimal() and len(step) < 6 and int(step) < len(here):
            here = here[int(step)]
        else:
            return None
    return here


def read(document: Any, by: Mapping[str, Any]) -> Heard:
    """The one event that a body makes by this mapping. Raises Refused, naming the path in the body."""
    given = mapping(document, "body")
    title = _word(given, by, "title", required=True)
    component = _word(given, by, "component")
    key = _word(given, by, "key", required=bool(by.get("key")))
    words = [word.lower() for word in by.get("resolved_words") or RESOLVED_WORDS]
    over = _word(given, by, "state", required=bool(by.get("state"))).strip().lower() in words
    event = Event(
        verb=RESOLVE if over and by.get("state") else TRIGGER,
        key=key or hashlib.sha256(f"{component}\0{title}".encode()).hexdigest(),
        title=title,
        sentence=_word(given, by, "sentence"),
        severity=_word(given, by, "severity"),
        component=component,
        labels={name: _word(given, by, name)[:1000] for name in PARTS[:5] if by.get(name)},
        source_url=web_address(_word(given, by, "url")),
    )
    return Heard((event,))


def _word(given: Any, by: Mapping[str, Any], part: str, *, required: bool = False) -> str:
    path = by.get(part) or ""
    value = at_path(given, path) if path else None
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int | float):
        value = f"{value:g}" if isinstance(value, float) else str(value)
    if value is None or value == "":
        if required:
            raise Refused("required", f"is missing, and {part} is read from it", path)
        return ""
    if not isinstance(value, str):
        raise Refused("invalid", f"must be a text or a number, since {part} is read from it", path)
    return value[:MOST_TEXT]


class MappedJson:
    """Any tool that can post JSON."""

    kind = "json"
    label = "JSON with a mapping"
    mapped = True

    def setup(self, site: str, key: str) -> str:
        """The address, and one request by hand."""
        url = f"{site}/api/integrations/json/{key}/"
        return (
            f"POST {url}\n\ncurl -X POST {url} -H 'Content-Type: application/json' -d "
            '\'{"title": "Disk full on db-1", "severity": "critical"}\'\n'
        )


register(MappedJson())
