"""Ranges of time cut for counters by the day: whole UTC days, and the hours at both ends. No Django."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """Whole days [first, last), and the spans before and after them that only hours can tell."""

    first: date
    last: date
    edges: tuple[tuple[datetime, datetime], ...]


def midnight(at: datetime) -> datetime:
    """The beginning of its UTC day."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def by_days(start: datetime, end: datetime, now: datetime) -> Days:
    """How to read [start, end), in whole hours. The running day is whole where the range ends now or later: nothing
    has been counted beyond."""
    first = midnight(start) if start == midnight(start) else midnight(start) + DAY
    last = midnight(now) + DAY if end > now else midnight(end)
    if first >= last:
        return Days(first.date(), first.date(), ((start, end),) if start < end else ())
    edges = [(start, first)] if start < first else []
    edges += [(last, end)] if last < end else []
    return Days(first.date(), last.date(), tuple(edges))


def days_touched(start: datetime, end: datetime) -> tuple[date, date]:
    """The first and the last UTC day that [start, end) has a part of."""
    return start.astimezone(UTC).date(), (end - timedelta(microseconds=1)).astimezone(UTC).date()


def whole_hour(at: datetime) -> datetime:
    """The beginning of its hour."""
    return at.replace(minute=0, second=0, microsecond=0)
