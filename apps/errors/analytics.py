"""What analyses ask about errors over a range: from counters, with a fixed number of queries each.

Ranges are [start, end) in whole minutes (`by_minute`) or whole hours. `keys` narrows to {"component_id": …} or
{"project_id": …}; empty: everything. What is counted by the day (UTC) is read for whole days, hours at both ends.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from apps.core.distinct import Estimate, estimate
from apps.core.ids import uuid_floor
from apps.core.spans import HOUR, Days, by_days, days_touched, whole_hour
from apps.errors.models import (
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


def over_time(start: datetime, end: datetime, by_minute: bool, keys: Keys) -> list[tuple[datetime, str, int]]:
    """(minute or hour, severity, errors), in order of time."""
    model, column = (ErrorMinute, "minute") if by_minute else (ErrorHour, "hour")
    rows: QuerySet[Any] = model._default_manager.filter(**_between(column, start, end), **keys)
    return list(rows.values_list(column, "severity").annotate(of=Sum("n")).order_by(column))


def _between(column: str, start: object, end: object) -> dict[str, object]:
    return {f"{column}__gte": start, f"{column}__lt": end}


def endpoint_errors(start: datetime, end: datetime, by_minute: bool, keys: Keys) -> dict[Endpoint, int]:
    """Errors by endpoint; those without one are not in it."""
    model, column = (EndpointMinute, "minute") if by_minute else (EndpointHour, "hour")
    rows: QuerySet[Any] = model._default_manager.filter(**_between(column, start, end), **keys)
    found = rows.values_list("project_id", "component_id", "endpoint").annotate(of=Sum("n"))
    return {(project, component or 0, endpoint): n for project, component, endpoint, n in found.order_by()}


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


_TOP_GROUPS = """
SELECT counted.group_id, sum(counted.n) AS n FROM (
  SELECT group_id, n FROM errors_groupday WHERE day >= %s AND day < %s
  UNION ALL SELECT group_id, n FROM errors_grouphour WHERE {edges}
) AS counted {joined}GROUP BY counted.group_id ORDER BY n DESC, counted.group_id DESC LIMIT %s
"""


def top_groups(start: datetime, end: datetime, now: datetime, keys: Keys, limit: int) -> list[TopGroup]:
    """The groups with the most events in the range, most first. Three queries."""
    counts = _largest(by_days(start, end, now), keys, limit)
    groups = ErrorGroup.objects.select_related("component", "project").in_bulk(list(counts))
    before = _counts(list(counts), by_days(start - (end - start), start, now))
    return [TopGroup(groups[pk], n, before.get(pk, 0)) for pk, n in counts.items() if pk in groups]


def _largest(days: Days, keys: Keys, limit: int) -> dict[int, int]:
    edges = " OR ".join("(hour >= %s AND hour < %s)" for _ in days.edges) or "false"
    joined = "".join(f"JOIN errors_errorgroup g ON g.id = counted.group_id AND g.{k} = %s " for k in keys)
    moments = [at for edge in days.edges for at in edge]
    given: list[Any] = [days.first, days.last, *moments, *keys.values(), limit]
    with connection.cursor() as cursor:
        cursor.execute(_TOP_GROUPS.format(edges=edges, joined=joined), given)
        return {pk: int(n) for pk, n in cursor.fetchall()}


def _counts(group_ids: Sequence[int], days: Days) -> dict[int, int]:
    """Events of a few groups."""
    edges = Q(pk__in=())
    for low, high in days.edges:
        edges |= Q(hour__gte=low, hour__lt=high)
    whole = GroupDay.objects.filter(group_id__in=group_ids, **_between("day", days.first, days.last))
    hours = GroupHour.objects.filter(edges, group_id__in=group_ids).order_by()
    found: dict[int, int] = defaultdict(int)
    for pk, n in (
        whole.order_by().values_list("group_id", "n").union(hours.values_list("group_id", "n"), all=True)
    ):
        found[pk] += n
    return found


def group_series(
    group_ids: Iterable[int], start: datetime, end: datetime, steps: int
) -> dict[int, list[int]]:
    """Events of each group over the range in so many equal steps of whole hours, oldest first: one query."""
    width = max((end - start) / steps, HOUR)
    found: dict[int, list[int]] = defaultdict(lambda: [0] * steps)
    rows = GroupHour.objects.filter(group_id__in=list(group_ids), **_between("hour", start, end))
    for pk, hour, n in rows.values_list("group_id", "hour", "n"):
        found[pk][min(int((hour - start) / width), steps - 1)] += n
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
