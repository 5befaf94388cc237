"""From clocks on the wall to instants and back, through changes of the clock.

One rule for every zone: **a local time means the first instant at which the clock shows it or has passed it.**
A time that is skipped in spring (02:30 in Berlin) is the instant of the jump; one that comes twice in autumn is
its first coming. The rule never goes backwards, so intervals that meet on the wall meet in time.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time, which is precise to the second."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _jump_between(second, first, zone) if second < first else first


def _jump_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant, to the second, at which the zone's offset changes within (before, after]."""
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        at = before + timedelta(seconds=middle)
        same = at.astimezone(zone).utcoffset() == offset
        low, high = (middle, high) if same else (low, middle)
    return before + timedelta(seconds=high)


def wall_of(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows at an instant, naive."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)
