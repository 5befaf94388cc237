"""What analyses ask about errors over a range: from counters, with a fixed number of queries each.

Ranges are [start, end) in whole minutes (`by_minute`) or whole hours. `keys` narrows to {"component_id": …} or
{"project_id": …}; empty: everything. What is counted by the day (UTC) is read for whole days, hours at both ends.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, F, Q, QuerySet, Sum
from django.db.models.functions import Cast, TruncDay

from apps.core.distinct import Estimate, estimate
from apps.core.ids import uuid_floor
from apps.core.spans import DAY, HOUR, Days, by_days, days_touched, midnight, whole_hour
from apps.errors.models import (
    EndpointDay,
    EndpointHour,
    EndpointMinute,
    ErrorEvent,
    ErrorGroup,
    ErrorHour,
    ErrorMinute,
    GroupDay,
    GroupHour,
)

_LAST = 2**128 - 1  # the highest id there can be
Keys = Mapping[str, int]
# project, component (0 in rows from before components were counted), endpoint
Endpoint = tuple[int, int, str]


def over_time(
    start: datetime, end: datetime, by_minute: bool, keys: Keys, step: timedelta
) -> list[tuple[datetime, str, int]]:
    """(minute, hour or day, severity, errors): by the day where the step is one, else as counted."""
    model, column = (ErrorMinute, "minute") if by_minute else (ErrorHour, "hour")
    rows: QuerySet[Any] = model._default_manager.filter(**_between(column, start, end), **keys)
    at = TruncDay(column, tzinfo=UTC) if step == DAY else F(column)
    return list(rows.order_by().annotate(at=at).values_list("at", "severity").annotate(of=Sum("n")))


def _between(column: str, start: object, end: object) -> dict[str, object]:
    return {f"{column}__gte": start, f"{column}__lt": end}


def endpoint_errors(
    start: datetime, end: datetime, now: datetime, by_minute: bool, keys: Keys
) -> dict[Endpoint, int]:
    """Errors by endpoint; those without one are not in it."""
    if by_minute:
        return _summed([EndpointMinute._default_manager.filter(**_between("minute", start, end), **keys)])
    days = by_days(start, end, now)
    whole = EndpointDay._default_manager.filter(**_between("day", days.first, days.last), **keys)
    return _summed([whole, EndpointHour._default_manager.filter(_edges(days), **keys)])


def _edges(days: Days) -> Q:
    """The hours that whole days leave over."""
    found = Q(pk__in=())
    for low, high in days.edges:
        found |= Q(hour__gte=low, hour__lt=high)
    return found


def _summed(tables: Iterable[QuerySet[Any]]) -> dict[Endpoint, int]:
    found: dict[Endpoint, int] = defaultdict(int)
    for rows in tables:
        sums = rows.order_by().values_list("project_id", "component_id", "endpoint").annotate(of=Sum("n"))
        for project, component, endpoint, n in sums:
            found[project, component or 0, endpoint] += n
    return found


def hit_users(start: datetime, end: datetime, keys: Keys) -> Estimate:
    """Distinct users that errors hit; exact for a range that ends now, else by whole days at its end."""
    where, given = users_where(start, end, keys)
    return estimate("errors_hituserday", where, given)


def users_where(start: datetime, end: datetime, keys: Keys) -> tuple[str, list[Any]]:
    """The condition on a table of users by day: everybody seen since `start`, on days that began before `end`."""
    narrowed = "".join(f" AND {column} = %s" for column in sorted(keys))
    given: list[Any] = [
        *days_touched(start, end),
        whole_hour(start),
        *(keys[column] for column in sorted(keys)),
    ]
    return f"day BETWEEN %s AND %s AND last_hour >= %s{narrowed}", given


# --- Groups -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TopGroup:
    """A group with its events in the range and in the range of the same length before."""

    group: ErrorGroup
    n: int
    before: int


# A group has at most as many events in the range as it ever had: once `limit` of the largest groups are counted, no
# group that is smaller than the last of those can be among them, and is not counted at all.
_TOP_GROUPS = """
WITH shown AS MATERIALIZED (
  SELECT id, event_count FROM errors_errorgroup WHERE last_seen >= %(start)s AND first_seen < %(end)s{narrowed}
), largest AS MATERIALIZED (
  SELECT id FROM shown ORDER BY event_count DESC, id LIMIT {largest}
), first AS MATERIALIZED (
  SELECT id, {counted} AS n FROM largest AS g
), rest AS (
  SELECT id, {counted} AS n FROM shown AS g
  WHERE event_count >= coalesce((SELECT n FROM first ORDER BY n DESC OFFSET %(last)s LIMIT 1), 1)
    AND id NOT IN (SELECT id FROM largest)
)
SELECT id, n FROM (SELECT * FROM first UNION ALL SELECT * FROM rest) AS every WHERE n > 0
ORDER BY n DESC, id DESC LIMIT %(limit)s
"""
_COUNTED = """(
  SELECT coalesce(sum(n), 0)::bigint FROM (
    SELECT n FROM errors_groupday WHERE group_id = g.id AND day >= %(first)s AND day < %(until)s
    UNION ALL SELECT n FROM errors_grouphour WHERE group_id = g.id AND ({edges})
  ) AS counters
)"""
LARGEST = 200
# Over a few days every counter of the range is read at once: there are few, and small groups may well be on top.
_ALL_GROUPS = """
SELECT counters.group_id, sum(counters.n) AS n FROM (
  SELECT group_id, n FROM errors_groupday WHERE day >= %(first)s AND day < %(until)s
  UNION ALL SELECT group_id, n FROM errors_grouphour WHERE {edges}
) AS counters WHERE true{narrowed}
GROUP BY counters.group_id ORDER BY n DESC, counters.group_id DESC LIMIT %(limit)s
"""
FEW_DAYS = 3 * DAY


def top_groups(start: datetime, end: datetime, now: datetime, keys: Keys, limit: int) -> list[TopGroup]:
    """The groups with the most events in the range, most first. Three queries."""
    counts = _largest(start, end, now, keys, limit)
    groups = ErrorGroup.objects.select_related("component", "project").in_bulk(list(counts))
    before = _counts(list(counts), by_days(start - (end - start), start, now))
    return [TopGroup(groups[pk], n, before.get(pk, 0)) for pk, n in counts.items() if pk in groups]


def _largest(start: datetime, end: datetime, now: datetime, keys: Keys, limit: int) -> dict[int, int]:
    days = by_days(start, end, now)
    given: dict[str, Any] = {
        "start": start, "end": end, "first": days.first, "until": days.last, "last": limit - 1, "limit": limit,
        **keys,
    }  # fmt: skip
    edges = []
    for place, (low, high) in enumerate(days.edges):
        given |= {f"low{place}": low, f"high{place}": high}
        edges.append(f"(hour >= %(low{place})s AND hour < %(high{place})s)")
    sql = _ALL_GROUPS if end - start <= FEW_DAYS else _TOP_GROUPS.replace("{counted}", _COUNTED)
    narrowed = "".join(f" AND {column} = %({column})s" for column in keys)
    if sql is _ALL_GROUPS and keys:
        narrowed = f" AND group_id IN (SELECT id FROM errors_errorgroup WHERE true{narrowed})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            sql.format(edges=" OR ".join(edges) or "false", narrowed=narrowed, largest=LARGEST), given
        )
        return {pk: int(n) for pk, n in cursor.fetchall()}


def _counts(group_ids: Sequence[int], days: Days) -> dict[int, int]:
    """Events of a few groups."""
    whole = GroupDay.objects.filter(group_id__in=group_ids, **_between("day", days.first, days.last))
    hours = GroupHour.objects.filter(_edges(days), group_id__in=group_ids).order_by()
    found: dict[int, int] = defaultdict(int)
    for pk, n in (
        whole.order_by().values_list("group_id", "n").union(hours.values_list("group_id", "n"), all=True)
    ):
        found[pk] += n
    return found


def group_series(
    group_ids: Collection[int], start: datetime, end: datetime, now: datetime
) -> dict[int, list[int]]:
    """Events of each group over the range, oldest first: by the hour up to three days, else by the UTC day, the first
    of which may be a part of one. One query."""
    if end - start <= FEW_DAYS:
        rows: Any = _hours_of(group_ids, Q(**_between("hour", start, end)))
        return _placed(rows, start, HOUR, math.ceil((end - start) / HOUR))
    days = by_days(start, end, now)
    whole = GroupDay.objects.filter(group_id__in=group_ids, **_between("day", days.first, days.last))
    dated = whole.order_by().annotate(at=Cast("day", DateTimeField())).values_list("group_id", "at", "n")
    rows = dated.union(_hours_of(group_ids, _edges(days)), all=True)
    return _placed(rows, midnight(start), DAY, math.ceil((min(end, now) - midnight(start)) / DAY))


def _hours_of(group_ids: Collection[int], within: Q) -> QuerySet[Any, tuple[int, datetime, int]]:
    rows = GroupHour.objects.filter(within, group_id__in=group_ids).order_by()
    return rows.values_list("group_id", "hour", "n")


def _placed(
    rows: Iterable[tuple[int, datetime, int]], start: datetime, width: timedelta, steps: int
) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(lambda: [0] * steps)
    for pk, at, n in rows:
        found[pk][min(int((at - start) / width), steps - 1)] += n
    return found


# --- The latest ---------------------------------------------------------------------------------------------------
_LATEST_OF_PART = """
SELECT e.id FROM (
  SELECT id FROM errors_errorgroup WHERE {part} AND last_seen >= %s ORDER BY last_seen DESC LIMIT %s
) g CROSS JOIN LATERAL (
  SELECT id FROM errors_errorevent WHERE group_id = g.id AND id >= %s AND id < %s ORDER BY id DESC LIMIT %s
) e ORDER BY e.id DESC LIMIT %s
"""


def latest(
    start: datetime, end: datetime, keys: Keys, limit: int, after: UUID | None = None
) -> list[ErrorEvent]:
    """The newest events, newest first; those beyond `after` only, if given. One query, two for a part of the house.

    Of a part: its newest events are among the newest of its groups seen last, and that is how they are found. In a
    range that ended long ago a group that went on since then may keep an older one out.
    """
    low, high = uuid_floor(start), uuid_floor(end)
    if after is not None:
        low = max(low, UUID(int=min(after.int + 1, _LAST)))
    events = ErrorEvent.objects.select_related("group", "component").defer("payload", "tags")
    if not keys:
        return list(events.filter(id__gte=low, id__lt=high).order_by("-id")[:limit])
    return list(events.filter(pk__in=_latest_ids(start, low, high, keys, limit)).order_by("-id"))


def _latest_ids(start: datetime, low: UUID, high: UUID, keys: Keys, limit: int) -> Collection[UUID]:
    ((column, value),) = keys.items()
    with connection.cursor() as cursor:
        cursor.execute(
            _LATEST_OF_PART.format(part=f"{column} = %s"), [value, start, limit, low, high, limit, limit]
        )
        return [pk for (pk,) in cursor.fetchall()]
