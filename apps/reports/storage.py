"""What the database holds and for how long: sizes by room and table, growth by day, what goes when.

Sizes and rows come from the catalogue of PostgreSQL and from rollups; nothing is counted here, so the page costs the
same however much is stored. A fixed number of queries.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import TruncDay

from apps.core import panels
from apps.core.charts import Series
from apps.core.models import PartitionedTable
from apps.errors.models import ErrorHour
from apps.errors.retention import EVENTS, days_kept
from apps.projects.models import Project, RetentionDay
from apps.reports import retention_plan
from apps.reports.retention_plan import Drop

DAYS_SHOWN = 30
GROWTH_DAYS = 7
MOST_DAYS = 3650  # beyond ten years nobody plans a disk
PAGE = "reports.storage"


@dataclass
class Table:
    """One table with all its partitions; `rows` is PostgreSQL's estimate, None where it has none yet."""

    name: str
    room: str
    bytes: int = 0
    index_bytes: int = 0
    rows: int | None = None
    partitions: int = 0


@dataclass(frozen=True)
class Day:
    """One partition of a day; `shares` (project, rows counted by rollups, part of the day's bytes)."""

    day: date
    bytes: int
    rows: int | None
    shares: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Cut:
    """A table cut by day with its last days, oldest first."""

    table: str
    days: list[Day]
    per_day: int | None
    series: list[Series]
    labels: list[str]
    sentence: str


@dataclass(frozen=True)
class Room:
    """The tables of a room, largest first."""

    name: str
    bytes: int
    rows: int | None
    tables: list[Table]


@dataclass(frozen=True)
class Disk:
    """The file system under the data directory. `holds_database` is False where PostgreSQL runs elsewhere."""

    free: int
    total: int
    holds_database: bool


@dataclass(frozen=True)
class Storage:
    """The whole page."""

    rooms: list[Room]
    bytes: int
    rows: int | None
    cuts: list[Cut]
    per_day: int | None
    lasts_days: int | None
    drops: list[Drop]
    disk: Disk
    waiting: list[Any]
    deleted: list[tuple[str, int]]


@dataclass(frozen=True)
class Relation:
    """One table or partition as the catalogue has it."""

    root: str
    name: str
    bytes: int
    index_bytes: int
    rows: int | None

    def day(self) -> date | None:
        """The day of a daily partition, by its name."""
        suffix = self.name.removeprefix(f"{self.root}_")
        if len(suffix) != 8 or not suffix.isdecimal():
            return None
        return datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC).date()


_RELATIONS = """
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relnamespace = current_schema()::regnamespace
  UNION ALL SELECT tree.root, i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
)
SELECT root::regclass::text, c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid),
  CASE WHEN c.reltuples < 0 THEN nullif(pg_stat_get_live_tuples(c.oid), 0) ELSE c.reltuples::bigint END
FROM tree JOIN pg_class c ON c.oid = tree.oid WHERE c.relkind = 'r'
"""


def storage(now: datetime) -> Storage:
    """Everything on the page, as of now."""
    relations = _relations()
    projects = list(Project.objects.only("pk", "name", "error_retention_days"))
    listed = list(PartitionedTable.objects.order_by("name"))
    days = {row.name: _days(relations, row.name, now) for row in listed if row.span == PartitionedTable.DAY}
    shares = {EVENTS: _events_by_day(now)}
    names = {p.pk: p.name for p in projects}
    cuts = [_cut(table, found, shares.get(table, {}), names, now) for table, found in days.items() if found]
    cuts.sort(key=lambda cut: -sum(d.bytes for d in cut.days))
    known = [cut.per_day for cut in cuts if cut.per_day is not None]
    per_day = sum(known) if known else None
    rooms = _rooms(relations)
    disk = _disk()
    return Storage(
        rooms=rooms,
        bytes=sum(r.bytes for r in rooms),
        rows=_sum(r.rows for r in rooms),
        cuts=cuts,
        per_day=per_day,
        lasts_days=min(disk.free // per_day, MOST_DAYS) if per_day and disk.holds_database else None,
        drops=retention_plan.drops(
            listed=listed, oldest=_oldest(relations), kept={p.name: days_kept(p) for p in projects}, now=now
        ),
        disk=disk,
        waiting=panels.of(PAGE, "waiting", now),
        deleted=_deleted(names, now),
    )


def counters_kept() -> list[tuple[str, int]]:
    """How long counters are kept, in days: they are deleted row by row, not by partitions."""
    return [
        ("Errors by the minute, and by endpoint and minute", settings.ROLLUP_MINUTE_RETENTION_DAYS),
        ("Errors by the hour and day, hit users, tags of groups", settings.ROLLUP_HOUR_RETENTION_DAYS),
        ("Requests by the minute", settings.REQUEST_RETENTION_DAYS),
        ("Tracked failures by the minute", settings.ROLLUP_MINUTE_RETENTION_DAYS),
        (
            "Requests, tracked events, sessions and users by the hour and day",
            settings.ROLLUP_HOUR_RETENTION_DAYS,
        ),
    ]


def _relations() -> list[Relation]:
    with connection.cursor() as cursor:
        cursor.execute(_RELATIONS)
        return [Relation(*row) for row in cursor.fetchall()]


def _rooms(relations: list[Relation]) -> list[Room]:
    owners = {m._meta.db_table: m._meta.app_label for m in apps.get_models(include_auto_created=True)}
    labels = {name.removeprefix("apps.") for name in settings.ROOMS}
    tables: dict[str, Table] = {}
    for r in relations:
        owner = owners.get(r.root, "")
        table = tables.setdefault(r.root, Table(r.root, owner if owner in labels else "Django"))
        table.bytes += r.bytes + r.index_bytes
        table.index_bytes += r.index_bytes
        table.rows = table.rows if r.rows is None else (table.rows or 0) + r.rows
        table.partitions += r.name != r.root
    by_room: dict[str, list[Table]] = defaultdict(list)
    for table in sorted(tables.values(), key=lambda t: (-t.bytes, t.name)):
        by_room[table.room].append(table)
    found = [
        Room(name, sum(t.bytes for t in own), _sum(t.rows for t in own), own) for name, own in by_room.items()
    ]
    return sorted(found, key=lambda room: -room.bytes)


def _sum(estimates: Iterable[int | None]) -> int | None:
    """Of those that are known; None where none is."""
    known = [n for n in estimates if n is not None]
    return sum(known) if known else None


def _days(relations: list[Relation], table: str, now: datetime) -> dict[date, Relation]:
    """The last days' partitions of a table, today's included."""
    first = now.date() - timedelta(days=DAYS_SHOWN - 1)
    dated = {day: r for r in relations if r.root == table and (day := r.day())}
    return {day: r for day, r in sorted(dated.items()) if first <= day <= now.date()}


def _events_by_day(now: datetime) -> dict[date, dict[int, int]]:
    """Error events by day and project, from the counters by the hour."""
    start = datetime.combine(now.date() - timedelta(days=DAYS_SHOWN - 1), datetime.min.time(), UTC)
    rows = ErrorHour.objects.filter(hour__gte=start).annotate(day=TruncDay("hour", tzinfo=UTC))
    found: dict[date, dict[int, int]] = defaultdict(dict)
    for day, project_id, n in rows.values_list("day", "project_id").annotate(of=Sum("n")):
        found[day.date()][project_id] = n
    return found


def _cut(
    table: str, found: dict[date, Relation], counted: dict[date, dict[int, int]], names: dict[int, str], now: datetime
) -> Cut:  # fmt: skip
    days = [_day(day, r, counted.get(day, {}), names) for day, r in found.items()]
    full = [d.bytes for d in days if now.date() - timedelta(days=GROWTH_DAYS) <= d.day < now.date()]
    per_day = round(sum(full) / len(full)) if full else None
    shown = [now.date() - timedelta(days=n) for n in reversed(range(DAYS_SHOWN))]
    largest = max(days, key=lambda d: d.bytes)
    sentence = f"Bytes a day of {table}: {len(days)} days, the largest {largest.day.isoformat()}."
    labels = [f"{day.day} {day:%b}" for day in shown]
    return Cut(table, days, per_day, _series(table, days, shown), labels, sentence)


def _day(day: date, relation: Relation, counted: dict[int, int], names: dict[int, str]) -> Day:
    size, total = relation.bytes + relation.index_bytes, sum(counted.values())
    shares = [
        (names.get(pk, "deleted project"), n, round(size * n / total))
        for pk, n in sorted(counted.items(), key=lambda item: -item[1])
    ]
    return Day(day, size, relation.rows, shares)


def _series(table: str, days: list[Day], shown: list[date]) -> list[Series]:
    """One series a project, or one of all where no counter tells them apart. A day without partition has no data.

    The bytes of a day without counted rows are those of an empty partition and left out.
    """
    by_day = {d.day: d for d in days}
    names = sorted({name for d in days for name, _, _ in d.shares})
    if not names:
        return [Series(table, [by_day[day].bytes if day in by_day else None for day in shown])]
    parts = {d.day: {name: part for name, _, part in d.shares} for d in days}
    return [Series(n, [parts[day].get(n, 0) if day in parts else None for day in shown]) for n in names]


def _oldest(relations: list[Relation]) -> dict[str, date]:
    """The day of the oldest partition of each table."""
    found: dict[str, date] = {}
    for r in relations:
        day = r.day()
        if day and day < found.get(r.root, date.max):
            found[r.root] = day
    return found


def _disk() -> Disk:
    usage = shutil.disk_usage(settings.DATA_DIR if settings.DATA_DIR.exists() else "/")
    return Disk(usage.free, usage.total, settings.EMBEDDED_DATABASE)


def _deleted(names: dict[int, str], now: datetime) -> list[tuple[str, int]]:
    """Events that projects' own retention deleted in the last 30 days."""
    rows = RetentionDay.objects.filter(day__gt=now.date() - timedelta(days=DAYS_SHOWN))
    return [
        (names.get(row["project_id"], "deleted project"), row["rows"])
        for row in rows.values("project_id").annotate(rows=Sum("n")).order_by("-rows")
    ]
