"""A project's own, shorter retention: rows deleted by day in small statements, remembered, summed for the audit log.

Tables are cut by day over all projects, and the whole day is dropped when the longest retention has passed
(apps.core.partitions). What a project keeps for a shorter time is deleted here, by a function that its room hands in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import F

from apps.audit import services as audit
from apps.core.bulk import rows_of
from apps.projects.models import Project, RetentionDay, RetentionMark

DAY = timedelta(days=1)
# Rows may come 72 h late: days younger than this are looked at again, which only projects with 1 to 4 days pay for.
LATE = 4 * DAY
BATCH_ROWS = 5_000
MOST_STATEMENTS = 100
_REMEMBERED = 100 * DAY

# (project id, from, to, limit) → rows deleted: at most `limit` rows of the project in [from, to).
Delete = Callable[[int, datetime, datetime, int], int]


@dataclass(frozen=True)
class Pruned:
    """What one run did: rows deleted, and (project, day) pairs that must wait for the next run."""

    rows: int = 0
    waiting: int = 0
    oldest: datetime | None = None


def midnight(at: datetime) -> datetime:
    """The beginning of the UTC day of an aware time in UTC."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def days_due(start: datetime, mark: datetime | None, keep_days: int, now: datetime) -> Iterator[datetime]:
    """The days that must be emptied: from `start` or where the last run stopped, up to the first day that is kept."""
    today = midnight(now)
    day = midnight(max(start, min(mark, today - LATE)) if mark else start)
    while day < today - keep_days * DAY:
        yield day
        day += DAY


def prune(
    *, table: str, kept: Mapping[int, int], since: Mapping[int, datetime], delete: Delete, now: datetime
) -> Pruned:
    """Delete what projects do not keep any longer, oldest day first, in at most `MOST_STATEMENTS` statements.

    `kept` {project id: days}; `since` {project id: when its first row may lie}: a project without one has no rows.
    """
    marks = dict(
        RetentionMark.objects.filter(table=table, project_id__in=kept).values_list("project_id", "done_until")
    )
    due = sorted(
        (day, project_id)
        for project_id, days in kept.items()
        if project_id in since
        for day in days_due(since[project_id], marks.get(project_id), days, now)
    )
    rows = statements = 0
    for place, (day, project_id) in enumerate(due):
        deleted = BATCH_ROWS
        while deleted == BATCH_ROWS:
            if statements == MOST_STATEMENTS:
                return Pruned(rows, len(due) - place, day)
            deleted = _delete_some(table, project_id, day, delete, now)
            rows, statements = rows + deleted, statements + 1
    return Pruned(rows)


@transaction.atomic
def _delete_some(table: str, project_id: int, day: datetime, delete: Delete, now: datetime) -> int:
    """One statement's worth, counted in its own transaction; a day that is empty moves the mark."""
    deleted = delete(project_id, day, day + DAY, BATCH_ROWS)
    if deleted:
        _count(now.date(), project_id, table, deleted)
    if deleted < BATCH_ROWS:
        mark = {"project": project_id, "table": table, "until": (day + DAY).isoformat()}
        rows_of(
            'INSERT INTO projects_retentionmark AS m (project_id, "table", done_until) '
            'SELECT project, "table", until FROM jsonb_to_recordset(%s::jsonb) '
            'AS t(project bigint, "table" text, until timestamptz) '
            'ON CONFLICT (project_id, "table") DO UPDATE SET done_until = greatest(m.done_until, excluded.done_until)',
            [mark],
        )
    return deleted


def _count(day: date, project_id: int, table: str, n: int) -> None:
    here = {"day": day, "project_id": project_id, "table": table}
    RetentionDay.objects.bulk_create([RetentionDay(**here, n=0)], ignore_conflicts=True)
    RetentionDay.objects.filter(**here).update(n=F("n") + n)


@transaction.atomic
def audit_days(*, now: datetime) -> int:
    """One audit event for each finished day on which rows were deleted; returns how many were written."""
    open_ = RetentionDay.objects.filter(day__lt=now.date(), audited_at=None)
    rows = open_.select_for_update().values_list("day", "table", "project_id", "n")
    by_day: dict[date, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for day, table, project_id, n in rows:
        by_day[day][table][project_id] = n
    names = dict(Project.objects.values_list("pk", "name")) if by_day else {}
    for day, tables in sorted(by_day.items()):
        said = {t: {names[p]: n for p, n in sorted(found.items())} for t, found in tables.items()}
        audit.record("retention.delete", resource=("retention", day.isoformat()), details={"rows": said})
    open_.update(audited_at=now)
    RetentionDay.objects.filter(day__lt=now.date() - _REMEMBERED, audited_at__isnull=False).delete()
    return len(by_day)


def delete_older(*, table: str, column: str, before: datetime, most_statements: int = 20) -> int:
    """Delete the oldest rows of a rollup, a statement's worth at a time; returns how many. Its index leads by `column`.

    Names come from the code, never from outside.
    """
    deleted = 0
    for _ in range(most_statements):
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} "  # noqa: S608 - our own names
                f"WHERE {column} < %s ORDER BY {column} LIMIT {BATCH_ROWS}))",
                [before],
            )
            deleted += cursor.rowcount
            if cursor.rowcount < BATCH_ROWS:
                break
    return deleted
