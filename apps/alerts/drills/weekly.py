"""When a weekly drill is due. Pure: the clock is handed in."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.alerts.oncall.localtime import instant_of, wall_of

# A drill that nobody could start in time is left out: at another hour it would surprise people.
LATE_BY = timedelta(hours=1)


def next_time(weekday: int, at: time, zone: ZoneInfo, after: datetime) -> datetime:
    """The first instant after `after` at which it is this weekday (1 is Monday) and this time in the zone, in UTC."""
    today = wall_of(after, zone).date()
    ahead = timedelta(days=(weekday - today.isoweekday()) % 7)
    due = instant_of(datetime.combine(today + ahead, at.replace(microsecond=0)), zone)
    if due > after:
        return due
    return instant_of(datetime.combine(today + ahead + timedelta(days=7), at.replace(microsecond=0)), zone)
