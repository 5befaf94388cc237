"""What a sender says, in our words; and the reading of foreign documents piece by piece. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.core.refusal import Refused

TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
MOST_LABELS = 64
MOST_TITLE, MOST_TEXT, MOST_LABEL, MOST_URL = 200, 4000, 1000, 1000
_SPAN = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Event:
    """One thing that a sender says of one failure. `key` is the sender's own name of it.

    With `starts_at` an occurrence is known, so that replays in any order end alike; without it the order of arrival
    counts.
    """

    verb: str
    key: str
    title: str = ""
    sentence: str = ""
    severity: str = ""
    component: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    source_url: str = ""


@dataclass(frozen=True)
class Heard:
    """A whole body: its events, and how many the sender says it left out."""

    events: tuple[Event, ...]
    truncated: int = 0


def mapping(value: Any, at: str) -> Mapping[str, Any]:
    """An object, or Refused."""
    if not isinstance(value, dict):
        raise Refused("invalid", "must be an object", at)
    return value


def text(
    given: Mapping[str, Any], name: str, at: str, *, required: bool = False, most: int = MOST_TEXT
) -> str:
    """The text under `name`, cut to `most`; empty when missing, unless it is required. Numbers are written out."""
    value = given.get(name)
    where = f"{at}.{name}" if at else name
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        if required:
            raise Refused("required", "is missing", where)
        return ""
    if not isinstance(value, str):
        raise Refused("invalid", "must be a text", where)
    if required and not value.strip():
        raise Refused("required", "is empty", where)
    return value[:most]


def labels(value: Any, at: str) -> dict[str, str]:
    """Names and values, all texts; too many are cut by name, so that two sendings cut alike."""
    found = mapping(value, at)
    for name, word in found.items():
        if not isinstance(word, str):
            raise Refused("invalid", "must be a text", f"{at}.{name[:40]}")
    return {name[:200]: found[name][:MOST_LABEL] for name in sorted(found)[:MOST_LABELS]}


def moment(value: Any, at: str) -> datetime | None:
    """An RFC 3339 time with its zone, or None for none and for Go's zero time."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refused("invalid", "must be a time in RFC 3339", at)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise Refused("invalid", "must be a time in RFC 3339", at) from None
    if found.year == 1:
        return None
    if found.tzinfo is None:
        raise Refused("invalid", "must be a time with its zone", at)
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        raise Refused("invalid", "is no usable time", at) from None
    if not _SPAN[0] <= found < _SPAN[1]:
        raise Refused("invalid", "is outside the years 2000 to 2199", at)
    return found


def web_address(value: Any) -> str:
    """An http address that can be shown as a link; empty for anything else."""
    fits = isinstance(value, str) and value.startswith(("http://", "https://")) and len(value) <= MOST_URL
    return value if fits and not any(c.isspace() for c in value) else ""
