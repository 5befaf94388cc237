"""Counters beside the events: what pages and rules read. Written with the events that they count, from those alone.

Every statement takes its keys sorted, so that two drains never wait for each other in a ring.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.core.bulk import rows_of
from apps.errors.new_event import NewEvent

TAG_KEYS_KEPT = 60
TAG_VALUES_KEPT = 50
OTHER = "(other)"


@dataclass(slots=True)
class Placed:
    """An event with the keys that the database knows it by."""

    id: UUID
    event: NewEvent
    component_id: int
    group_id: int = 0
    minute: datetime = field(init=False)
    hour: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Every counter asks for these."""
        self.minute = self.event.occurred_at.replace(second=0, microsecond=0)
        self.hour = self.minute.replace(minute=0)


def count_minutes_and_hours(fresh: list[Placed]) -> None:
    """Errors by minute and component, by minute and endpoint, by hour and group."""
    _count_minutes(fresh)
    _count_endpoints(fresh)
    _count_hours(fresh)


def _count_minutes(fresh: list[Placed]) -> None:
    counts: dict[tuple[datetime, int, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for p in fresh:
        key = (p.minute, p.component_id, p.event.project_id, str(p.event.severity))
        counts[key][0] += 1
        counts[key][1] += p.event.user_impact
    rows_of(
        "INSERT INTO errors_errorminute (minute, component_id, project_id, severity, n, impacting) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(minute timestamptz, component_id bigint, "
        "project_id bigint, severity text, n bigint, impacting bigint) "
        "ON CONFLICT (minute, component_id, severity) DO UPDATE SET n = errors_errorminute.n + excluded.n, "
        "impacting = errors_errorminute.impacting + excluded.impacting",
        [
            {"minute": m, "component_id": c, "project_id": p, "severity": s, "n": n, "impacting": i}
            for (m, c, p, s), (n, i) in sorted(counts.items())
        ],
    )


def _count_endpoints(fresh: list[Placed]) -> None:
    counts = Counter(
        (p.minute, p.component_id, p.event.route[:200], p.event.project_id) for p in fresh if p.event.route
    )
    rows_of(
        "INSERT INTO errors_endpointminute AS old (minute, component_id, project_id, endpoint, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(minute timestamptz, component_id bigint, project_id bigint, "
        "endpoint text, n bigint) ON CONFLICT (minute, component_id, endpoint) DO UPDATE SET n = old.n + excluded.n",
        [
            {"minute": m, "component_id": c, "project_id": p, "endpoint": e, "n": n}
            for (m, c, e, p), n in sorted(counts.items())
        ],
    )


def _count_hours(fresh: list[Placed]) -> None:
    counts = Counter((p.group_id, p.hour) for p in fresh)
    rows_of(
        "INSERT INTO errors_grouphour (group_id, hour, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(group_id bigint, hour timestamptz, n bigint) "
        "ON CONFLICT (group_id, hour) DO UPDATE SET n = errors_grouphour.n + excluded.n",
        [{"group_id": g, "hour": h, "n": n} for (g, h), n in sorted(counts.items())],
    )


def count_users(fresh: list[Placed]) -> Counter[int]:
    """Users per group that the group had not hit before."""
    last: dict[tuple[int, str], datetime] = {}
    for p in fresh:
        if p.event.user_hash:
            key = (p.group_id, p.event.user_hash.hex())
            last[key] = max(last.get(key, p.event.occurred_at), p.event.occurred_at)
    written = rows_of(
        "INSERT INTO errors_groupuser (group_id, user_hash, last_seen) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(group_id bigint, user_hash text, last_seen timestamptz) "
        "ON CONFLICT (group_id, user_hash) DO UPDATE "
        "SET last_seen = greatest(errors_groupuser.last_seen, excluded.last_seen) RETURNING group_id, xmax = 0",
        [{"group_id": g, "user_hash": u, "last_seen": at} for (g, u), at in sorted(last.items())],
    )
    return Counter(group_id for group_id, inserted in written if inserted)


# A new key or value is kept while there is room; what a group already has is always counted under its own name.
_COUNT_TAGS = f"""
WITH given AS (
  SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r(group_id bigint, key text, value text, n bigint)
), pairs AS (
  SELECT group_id, key, (SELECT count(*) FROM errors_grouptag t
    WHERE t.group_id = g.group_id AND t.key = g.key AND t.value <> '{OTHER}') AS held
  FROM (SELECT DISTINCT group_id, key FROM given) g
), keys AS (
  SELECT group_id, (SELECT count(DISTINCT key) FROM errors_grouptag t WHERE t.group_id = p.group_id) AS held
  FROM (SELECT DISTINCT group_id FROM pairs WHERE held = 0) p
), placed AS (
  SELECT pairs.*, pairs.held > 0 OR keys.held
    + row_number() OVER (PARTITION BY group_id, pairs.held > 0 ORDER BY key) <= {TAG_KEYS_KEPT} AS fits
  FROM pairs LEFT JOIN keys USING (group_id)
), known AS (
  SELECT given.*, EXISTS (SELECT FROM errors_grouptag t WHERE t.group_id = given.group_id AND t.key = given.key
    AND t.value = given.value) AS has_row FROM given
), named AS (
  SELECT group_id, CASE WHEN fits THEN key ELSE '{OTHER}' END AS key, n, CASE WHEN fits AND (has_row OR held
    + row_number() OVER (PARTITION BY group_id, key, has_row ORDER BY n DESC, value) <= {TAG_VALUES_KEPT})
    THEN value ELSE '{OTHER}' END AS value
  FROM known JOIN placed USING (group_id, key)
)
INSERT INTO errors_grouptag (group_id, key, value, n)
SELECT group_id, key, value, sum(n) FROM named GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (group_id, key, value) DO UPDATE SET n = errors_grouptag.n + excluded.n
"""  # noqa: S608 - what is put in is our own


def count_tags(fresh: list[Placed]) -> None:
    """Tag values per group; beyond TAG_KEYS_KEPT keys and TAG_VALUES_KEPT values of each the rest is "(other)"."""
    counts = Counter((p.group_id, k[:64], str(v)[:200]) for p in fresh for k, v in p.event.tags.items())
    rows = [{"group_id": g, "key": k, "value": v, "n": n} for (g, k, v), n in sorted(counts.items())]
    rows_of(_COUNT_TAGS, rows)
