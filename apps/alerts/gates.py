"""Gates of policies: whether the steps after one are run at a given moment. Pure: the moment is handed in.

Hours are half-open and local; a window that ends before it begins goes over midnight and belongs to the day on which it
began. Public holidays are those of the `holidays` library, by ISO country code, on that same day.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:  # the library is loaded for the first gate that asks for it
    from holidays import HolidayBase

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LOUDNESS = ("critical", "error", "warning", "info")


@dataclass(frozen=True)
class Gate:
    """Open when all that it names is true. `weekdays` as 0 (Monday) to 6, none for all; `skips` is how many of the
    following steps it guards, 0 for all that are left of the round."""

    zone: str = "UTC"
    weekdays: tuple[int, ...] = ()
    starts: time | None = None
    ends: time | None = None
    country: str = ""
    severity: str = ""
    skips: int = 0


def why_shut(gate: Gate, at: datetime, severity: str) -> str:
    """In words, for an alert of that severity; empty when it is open."""
    if gate.severity and _LOUDNESS.index(severity) > _LOUDNESS.index(gate.severity):
        return f"the alert is {severity}, below {gate.severity}"
    local = at.astimezone(ZoneInfo(gate.zone))
    day = _day_of_window(gate, local)
    if day is None:
        return f"{_said(local)} is outside {gate.starts:%H:%M}–{gate.ends:%H:%M} ({gate.zone})"
    if gate.weekdays and day.weekday() not in gate.weekdays:
        return f"{_said(local)} is not on {', '.join(DAYS[n] for n in sorted(gate.weekdays))} ({gate.zone})"
    name = _holidays(gate.country).get(day) if gate.country else None
    return f"{_said(local)} is a holiday in {gate.country}: {name}" if name else ""


def said(gate: Gate) -> str:
    """When it is open, in words."""
    parts = [", ".join(DAYS[n] for n in sorted(gate.weekdays))] if gate.weekdays else []
    if gate.starts is not None and gate.ends is not None:
        parts.append(f"{gate.starts:%H:%M}–{gate.ends:%H:%M}")
    parts += [f"no holiday in {gate.country}"] if gate.country else []
    parts = [f"{', '.join(parts)} ({gate.zone})"] if parts else []
    parts += [f"severity {gate.severity} or above"] if gate.severity else []
    steps = f" for the next {gate.skips}" if gate.skips else ""
    return f"open{steps} when {' and '.join(parts)}" if parts else "always open"


def can_open(gate: Gate) -> bool:
    """Whether there is any moment at which it is open for the loudest alert."""
    return gate.starts is None or gate.starts != gate.ends


def countries() -> list[str]:
    """Country codes whose holidays are known."""
    import holidays

    return sorted(holidays.list_supported_countries(include_aliases=False))


def _day_of_window(gate: Gate, local: datetime) -> date | None:
    """The day to which this moment belongs; None outside the hours."""
    if gate.starts is None or gate.ends is None:
        return local.date()
    now = local.time()
    if gate.starts < gate.ends:
        return local.date() if gate.starts <= now < gate.ends else None
    if now >= gate.starts:
        return local.date()
    return local.date() - timedelta(days=1) if now < gate.ends else None


@cache
def _holidays(country: str) -> "HolidayBase":
    import holidays

    return holidays.country_holidays(country)


def _said(local: datetime) -> str:
    return f"{local:%a %d %b %H:%M}"
