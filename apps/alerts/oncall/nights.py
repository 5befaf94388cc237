"""Hours on call and hours of the night. Night is 22:00 to 06:00 on the wall where the person lives. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.alerts.oncall.localtime import instant_of, wall_of
from apps.alerts.oncall.rotations import Shift

NIGHT_BEGINS, NIGHT_ENDS = time(22), time(6)


def night_of(at: datetime, zone: ZoneInfo) -> date | None:
    """The evening's date of the night in which an instant lies; None by day."""
    wall = wall_of(at, zone)
    if wall.time() >= NIGHT_BEGINS:
        return wall.date()
    return wall.date() - timedelta(days=1) if wall.time() < NIGHT_ENDS else None


def night_length(start: datetime, end: datetime, zone: ZoneInfo) -> timedelta:
    """How much of an interval lies in nights of a zone."""
    day, found = wall_of(start, zone).date() - timedelta(days=1), timedelta()
    while instant_of(datetime.combine(day, NIGHT_BEGINS), zone) < end:
        begins = instant_of(datetime.combine(day, NIGHT_BEGINS), zone)
        ends = instant_of(datetime.combine(day + timedelta(days=1), NIGHT_ENDS), zone)
        found += max(timedelta(), min(end, ends) - max(start, begins))
        day += timedelta(days=1)
    return found


def hours_of(shifts: Iterable[Shift], zones: Mapping[int, ZoneInfo]) -> dict[int, tuple[float, float]]:
    """Hours on call, and those of them at night, by person. Two schedules at one time count twice."""
    found: dict[int, tuple[float, float]] = {}
    for shift in shifts:
        for person in shift.people:
            all_, night = found.get(person, (0.0, 0.0))
            dark = night_length(shift.starts, shift.ends, zones[person])
            hour = timedelta(hours=1)
            found[person] = (all_ + (shift.ends - shift.starts) / hour, night + dark / hour)
    return found
