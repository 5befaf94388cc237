"""How long errors are kept: events by project, counters by their width. Groups stay, with their figures, for good."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Min

from apps.core.ids import timestamp_of, uuid_floor
from apps.core.models import PartitionedTable
from apps.core.ticks import TickReport
from apps.errors.models import Attachment, ErrorEvent, ErrorGroup, UserReport
from apps.projects import retention
from apps.projects.models import Project

EVENTS = "errors_errorevent"
# Table and the column that its index leads with, by how long they are kept.
MINUTES = (("errors_errorminute", "minute"), ("errors_endpointminute", "minute"))
HOURS = (
    ("errors_grouphour", "hour"),
    ("errors_errorhour", "hour"),
    ("errors_endpointhour", "hour"),
    ("errors_endpointday", "day"),
    ("errors_groupday", "day"),
    ("errors_hituserday", "day"),
    ("errors_groupuser", "last_seen"),
)


def longest_kept_days() -> int:
    """Days that the most patient project keeps its events.

    Asked by `migrate` too, before the column exists: a row as JSON has it or has it not.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max((to_jsonb(p) ->> 'error_retention_days')::integer) FROM projects_project p"
        )
        (own,) = cursor.fetchone()
    return max(own or 0, settings.ERROR_RETENTION_DAYS)


def days_kept(project: Project) -> int:
    """Days that the events of one project are kept."""
    return project.error_retention_days or settings.ERROR_RETENTION_DAYS


def delete_events(project_id: int, start: datetime, end: datetime, limit: int) -> int:
    """Delete at most `limit` events of a project in [start, end); returns how many.

    Found by its groups that were seen around that time: the events have no index by project, and need none else.
    """
    low, high = uuid_floor(start), uuid_floor(end)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM errors_errorevent WHERE id >= %s AND id < %s AND id = ANY (ARRAY("
            "SELECT e.id FROM errors_errorgroup g CROSS JOIN LATERAL (SELECT id FROM errors_errorevent "
            "WHERE group_id = g.id AND id >= %s AND id < %s LIMIT %s) e "
            "WHERE g.project_id = %s AND g.last_seen >= %s AND g.first_seen < %s LIMIT %s))",
            [low, high, low, high, limit, project_id, start, end, limit],
        )
        return int(cursor.rowcount)


def retain(now: datetime) -> TickReport:
    """The tick's work: events that their project no longer keeps, counters past their time, and the audit of it."""
    done = retention.prune(
        table=EVENTS, kept=_shorter(), since=_first_events(), delete=delete_events, now=now
    )
    prune_beside(now)
    rollups = prune_rollups(now)
    retention.audit_days(now=now)
    said = f"{done.rows} events and {rollups} counters deleted"
    return TickReport(said=said, backlog=done.waiting, oldest_at=done.oldest)


def prune_beside(now: datetime) -> int:
    """Delete what came beside events that their project no longer keeps, at most a statement's worth of each kind."""
    by_days: dict[int, list[int]] = defaultdict(list)
    for project in Project.objects.only("pk", "error_retention_days"):
        by_days[days_kept(project)].append(project.pk)
    deleted = 0
    for days, projects in by_days.items():
        old = {"project_id__in": projects, "received_at__lt": now - timedelta(days=days)}
        reports = UserReport.objects.filter(**old).order_by("received_at").values("pk")
        files = Attachment.objects.filter(**old).order_by("received_at").values("pk")
        deleted += UserReport.objects.filter(pk__in=reports[: retention.BATCH_ROWS]).delete()[0]
        deleted += Attachment.objects.filter(pk__in=files[: retention.BATCH_ROWS]).delete()[0]
    return deleted


def prune_rollups(now: datetime) -> int:
    """Delete counters that are older than their width is kept; returns how many rows."""
    before_minutes = now - timedelta(days=settings.ROLLUP_MINUTE_RETENTION_DAYS)
    before_hours = now - timedelta(days=settings.ROLLUP_HOUR_RETENTION_DAYS)
    deleted = 0
    for tables, before in ((MINUTES, before_minutes), (HOURS, before_hours)):
        for table, column in tables:
            deleted += retention.delete_older(table=table, column=column, before=before)
    return deleted + _prune_tags(before_hours)


def _prune_tags(before: datetime) -> int:
    """Tags of groups that were last seen before: at most a statement's worth."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM errors_grouptag WHERE id = ANY (ARRAY(SELECT t.id FROM errors_errorgroup g "
            "JOIN errors_grouptag t ON t.group_id = g.id WHERE g.last_seen < %s LIMIT %s))",
            [before, retention.BATCH_ROWS],
        )
        return int(cursor.rowcount)


def _shorter() -> dict[int, int]:
    """Projects that keep their events for less time than the table's partitions stay: {project id: days}."""
    listed = PartitionedTable.objects.filter(name=EVENTS).values_list("keep_days", flat=True).first()
    limit = listed or longest_kept_days()
    kept = {project.pk: days_kept(project) for project in Project.objects.only("pk", "error_retention_days")}
    return {pk: days for pk, days in kept.items() if days < limit}


def _first_events() -> dict[int, datetime]:
    """Since when each project may have events: its first group's first, at the earliest the oldest event."""
    oldest = ErrorEvent.objects.order_by("pk").values_list("pk", flat=True).first()
    if oldest is None:
        return {}
    firsts = ErrorGroup.objects.values_list("project_id").annotate(at=Min("first_seen"))
    return {project_id: max(at, timestamp_of(oldest)) for project_id, at in firsts}
