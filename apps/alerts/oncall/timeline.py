"""A range of shifts as local days and half hours, as a page draws it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from apps.alerts.oncall.localtime import instant_of, wall_of
from apps.alerts.oncall.rotations import Shift

COLUMNS = 48


@dataclass(frozen=True)
class Piece:
    """What a shift fills of one day: columns from `start` to `end`, 0 to 48."""

    shift: Shift
    start: int
    end: int

    @property
    def width(self) -> int:
        """Columns that it fills."""
        return self.end - self.start


@dataclass(frozen=True)
class Day:
    """One local day and its pieces, in order."""

    starts: datetime
    pieces: tuple[Piece, ...]


def midnights(now: datetime, days: int, zone: ZoneInfo) -> list[datetime]:
    """Beginnings of today and of the days after it, one more than `days`. A day that a zone skipped is left out."""
    today = wall_of(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return sorted({instant_of(today + timedelta(days=n), zone) for n in range(days + 1)})


def days_of(found: Iterable[Shift], edges: list[datetime]) -> list[Day]:
    """Shifts, which fill the range of the edges, as days. The day on which a clock is changed has 48 columns too."""
    listed = list(found)
    return [Day(start, tuple(_pieces(listed, start, end))) for start, end in pairwise(edges)]


def _pieces(found: list[Shift], start: datetime, end: datetime) -> Iterator[Piece]:
    """Without overlap; a piece too short for a column of its own is drawn with the one before it."""
    filled = 0
    for shift in found:
        if shift.starts < end and start < shift.ends:
            last = round(COLUMNS * ((min(shift.ends, end) - start) / (end - start)))
            if last > filled:
                yield Piece(shift, filled, last)
                filled = last
