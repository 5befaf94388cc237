"""Counters by the hour and by the day: what pages about days and weeks read, so that their cost follows the calendar.

Written with the events that they count; every statement takes its keys sorted, as in apps.errors.counting.
"""

from collections import Counter, defaultdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from apps.core.bulk import rows_of
from apps.errors.counting import Placed


def count_long(fresh: list[Placed]) -> None:
    """Errors by hour and component, by hour, by day and endpoint, by day and group; users hit by day."""
    _count_hours(fresh)
    _count_endpoints(fresh)
    _count_group_days(fresh)
    _count_users(fresh)


def _count_hours(fresh: list[Placed]) -> None:
    counts: dict[tuple[datetime, int, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for p in fresh:
        key = (p.hour, p.component_id, p.event.project_id, str(p.event.severity))
        counts[key][0] += 1
        counts[key][1] += p.event.user_impact
    rows_of(
        "INSERT INTO errors_errorhour AS old (hour, component_id, project_id, severity, n, impacting) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(hour timestamptz, component_id bigint, "
        "project_id bigint, severity text, n bigint, impacting bigint) "
        "ON CONFLICT (hour, component_id, severity) DO UPDATE SET n = old.n + excluded.n, "
        "impacting = old.impacting + excluded.impacting",
        [
            {"hour": h, "component_id": c, "project_id": p, "severity": s, "n": n, "impacting": i}
            for (h, c, p, s), (n, i) in sorted(counts.items())
        ],
    )


def _count_endpoints(fresh: list[Placed]) -> None:
    named = [p for p in fresh if p.event.route]
    hours = Counter((p.hour, p.component_id, p.event.route[:200], p.event.project_id) for p in named)
    _add_endpoints("errors_endpointhour", "hour", "timestamptz", hours)
    days: Counter[tuple[Any, int, str, int]] = Counter()
    for (hour, component, endpoint, project), n in hours.items():
        days[hour.date(), component, endpoint, project] += n
    _add_endpoints("errors_endpointday", "day", "date", days)


def _add_endpoints(table: str, column: str, kind: str, counts: Counter[Any]) -> None:
    rows_of(
        f"INSERT INTO {table} AS old ({column}, component_id, project_id, endpoint, n) "  # noqa: S608
        f"SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t({column} {kind}, component_id bigint, project_id bigint, "
        f"endpoint text, n bigint) ON CONFLICT ({column}, component_id, endpoint) DO UPDATE SET n = old.n + excluded.n",
        [
            {column: at, "component_id": c, "project_id": p, "endpoint": e, "n": n}
            for (at, c, e, p), n in sorted(counts.items())
        ],
    )


def _count_group_days(fresh: list[Placed]) -> None:
    counts = Counter((p.event.occurred_at.date(), p.group_id) for p in fresh)
    rows_of(
        "INSERT INTO errors_groupday AS old (day, group_id, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(day date, group_id bigint, n bigint) "
        "ON CONFLICT (day, group_id) DO UPDATE SET n = old.n + excluded.n",
        [{"day": d, "group_id": g, "n": n} for (d, g), n in sorted(counts.items())],
    )


def _count_users(fresh: list[Placed]) -> None:
    """A row is written again only when the user was hit in a later hour of the day."""
    last: dict[tuple[date, int, int, str], datetime] = {}
    for p in fresh:
        if p.event.user_hash:
            hour, user = p.hour, str(UUID(bytes=p.event.user_hash[:16]))
            key = (hour.date(), p.event.project_id, p.component_id, user)
            last[key] = max(last.get(key, hour), hour)
    rows_of(
        "INSERT INTO errors_hituserday AS old (day, project_id, component_id, user_key, last_hour) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, component_id bigint, "
        "user_key uuid, last_hour timestamptz) ON CONFLICT (day, project_id, component_id, user_key) "
        "DO UPDATE SET last_hour = excluded.last_hour WHERE old.last_hour < excluded.last_hour",
        [
            {"day": d, "project_id": p, "component_id": c, "user_key": u, "last_hour": h}
            for (d, p, c, u), h in sorted(last.items())
        ],
    )
