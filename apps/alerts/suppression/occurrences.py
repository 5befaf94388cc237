"""When a silence or a maintenance window is in force: once, weekly or monthly, on the clock of its zone. Pure.

A recurring window is written on the wall and follows its zone through changes of the clock, by the rule of
`oncall.localtime`: a local time means the first instant at which the clock shows it or has passed it. So the hour
that is skipped in spring is no window, and the one that comes twice in autumn lies within a window that spans it.

Weekly: `Sun 02:00-04:00; Fri 22:00 - Mon 06:00`, as windows of rotations are written.
Monthly: `1st Sun 02:00-04:00; last Fri 22:00-02:00; 15 01:00-03:00`. A day that a month lacks is left out.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.alerts.oncall import windows
from apps.alerts.oncall.localtime import instant_of, wall_of

ONCE, WEEKLY, MONTHLY = "once", "weekly", "monthly"
MOST = 20
LONGEST_BACK = timedelta(days=9)  # a weekly window lasts a week at most; two days for zones and clocks
_NTH = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "last": -1}
_MONTHLY = re.compile(
    r"(?:(1st|2nd|3rd|4th|last)\s+(mon|tue|wed|thu|fri|sat|sun)|(\d{1,2}))\s+(\d{1,2}:\d\d)\s*-\s*(\d{1,2}:\d\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MonthDay:
    """A window of a month: the nth weekday (−1: the last) or a day by number; minutes of the day, `length_min` long."""

    nth: int
    weekday: int
    day: int
    start_min: int
    length_min: int

    def of(self, year: int, month: int) -> date | None:
        """Its day in a month, if the month has one."""
        last = monthrange(year, month)[1]
        if self.day:
            return date(year, month, self.day) if self.day <= last else None
        if self.nth < 0:
            end = date(year, month, last)
            return end - timedelta(days=(end.weekday() - self.weekday) % 7)
        first = date(year, month, 1)
        return first + timedelta(days=(self.weekday - first.weekday()) % 7 + 7 * (self.nth - 1))


@dataclass(frozen=True, order=True)
class Span:
    """Half-open, UTC. `end` None: no end is known."""

    start: datetime
    end: datetime | None


@dataclass(frozen=True)
class Window:
    """From `start` (inclusive) to `end` (exclusive, None: open); if it repeats, only within the pieces of `weekly` or
    `monthly`."""

    start: datetime
    end: datetime | None = None
    repeats: str = ONCE
    zone: str = "UTC"
    weekly: tuple[windows.Window, ...] = ()
    monthly: tuple[MonthDay, ...] = ()


def parse_monthly(text: str) -> tuple[MonthDay, ...]:
    """ValueError with a sentence that names the piece which cannot be read."""
    pieces = [piece.strip() for piece in re.split(r"[;\n]", text) if piece.strip()]
    if not pieces or len(pieces) > MOST:
        raise ValueError(f"Write 1 to {MOST} windows such as 1st Sun 02:00-04:00 or 15 01:00-03:00.")
    return tuple(_month_day(piece) for piece in pieces)


def _month_day(piece: str) -> MonthDay:
    found = _MONTHLY.fullmatch(piece)
    if found is None:
        raise ValueError(
            f"{piece[:60]!r} is no window of a month. Write 1st Sun 02:00-04:00 or 15 01:00-03:00."
        )
    nth, weekday, day = found[1], found[2], int(found[3] or 0)
    if not nth and not 1 <= day <= 31:
        raise ValueError(f"{piece[:60]!r}: a month has days 1 to 31.")
    begins, ends = _minutes(found[4], piece), _minutes(found[5], piece)
    if begins == ends or begins == windows.DAY_MIN:
        raise ValueError(f"{piece[:60]!r} has no length. For a whole day write 00:00-24:00.")
    length = (ends - begins) % windows.DAY_MIN or windows.DAY_MIN
    number = windows.DAYS.index(weekday.capitalize()) if weekday else 0
    return MonthDay(_NTH[nth.lower()] if nth else 0, number, day, begins, length)


def _minutes(text: str, piece: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > windows.DAY_MIN:
        raise ValueError(f"{text} in {piece[:60]!r} is no time of a day.")
    return hours * 60 + minutes


def parse_weekly(text: str) -> tuple[windows.Window, ...]:
    """ValueError with a sentence; a window that fills the week is no recurring one."""
    found = windows.parse(text)
    if not found:
        raise ValueError(
            "Write windows such as Sun 02:00-04:00; for the whole week take a window that does not repeat."
        )
    return found


# --- In force -----------------------------------------------------------------------------------------------
def now_in(window: Window, at: datetime) -> Span | None:
    """The occurrence that covers an instant, cut to the window's own begin and end; None when none does."""
    if at < window.start or (window.end is not None and at >= window.end):
        return None
    if window.repeats == ONCE:
        return Span(window.start, window.end)
    covering = [s for s in _around(window, at) if s.start <= at and s.end is not None and at < s.end]
    return _cut(window, max(covering, key=lambda span: span.end or at)) if covering else None


def coming(window: Window, after: datetime, most: int = 5) -> list[Span]:
    """The occurrences that are running at `after` or begin later, at most so many, looking at most 400 days ahead."""
    if window.repeats == ONCE:
        return [Span(window.start, window.end)] if window.end is None or window.end > after else []
    found: list[Span] = []
    since = max(after, window.start)
    for span in _from(window, since - LONGEST_BACK, since + timedelta(days=400)):
        cut = _cut(window, span)
        if cut is not None and cut.end is not None and cut.end > since:
            found.append(cut)
        if len(found) == most:
            break
    return found


def _cut(window: Window, span: Span) -> Span | None:
    start = max(span.start, window.start)
    ends = [end for end in (span.end, window.end) if end is not None]
    end = min(ends) if ends else None
    return Span(start, end) if end is None or start < end else None


def _around(window: Window, at: datetime) -> Iterator[Span]:
    return _from(window, at - LONGEST_BACK, at + timedelta(days=2))


def _from(window: Window, since: datetime, until: datetime) -> Iterator[Span]:
    """Occurrences that begin in about this time, in order of their begin, joined where they meet."""
    zone = ZoneInfo(window.zone)
    first, last = wall_of(since, zone).date(), wall_of(until, zone).date()
    make = _weekly if window.repeats == WEEKLY else _monthly
    held: tuple[datetime, datetime] | None = None
    for wall_start, wall_end in make(window, first, last):
        start, end = instant_of(wall_start, zone), instant_of(wall_end, zone)
        if start >= end:  # the hour that is skipped
            continue
        if held and start <= held[1]:
            held = held[0], max(held[1], end)
            continue
        if held:
            yield Span(*held)
        held = start, end
    if held:
        yield Span(*held)


def _weekly(window: Window, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    day = first - timedelta(days=first.weekday())
    while day <= last:
        monday = datetime.combine(day, time())
        for piece in window.weekly:
            yield monday + timedelta(minutes=piece.start), monday + timedelta(minutes=piece.end)
        day += timedelta(days=7)


def _monthly(window: Window, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    year, month = first.year, first.month
    while date(year, month, 1) <= last:
        found = []
        for piece in window.monthly:
            if day := piece.of(year, month):
                start = datetime.combine(day, time()) + timedelta(minutes=piece.start_min)
                found.append((start, start + timedelta(minutes=piece.length_min)))
        yield from sorted(found)
        year, month = (year + month // 12, month % 12 + 1)
