"""What ingestion tells pages of upper rooms and of its own layer: what waits, and what was set aside."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, Sum
from django.urls import reverse
from django.utils import timezone

from apps.core.models import TickRun
from apps.core.panels import Panel, Row
from apps.core.wording import duration_words, figure_words
from apps.ingest import quotas
from apps.ingest.admission import REFUSED
from apps.ingest.keys import installation_ends
from apps.ingest.models import ItemCount
from apps.projects.models import Project

WAITS_LONG_S = 30
NEARLY_SPENT = 0.8


def storage_panel(now: datetime) -> Panel:
    """The depth of the inbox as the drains last saw it, and payloads set aside by their counters. Two queries."""
    drains = list(TickRun.objects.filter(name="ingest.drain"))
    waiting = max((run.backlog for run in drains), default=None)
    oldest = min((run.oldest_at for run in drains if run.oldest_at), default=None)
    waited_s = (now - oldest).total_seconds() if oldest else 0
    depth = Row(
        "Waiting in the inbox",
        "no drain has run" if waiting is None else figure_words(waiting),
        "nodata" if waiting is None else "warning" if waited_s > WAITS_LONG_S else "ok",
        note=f"The oldest waits {duration_words(waited_s)}." if oldest else "",
    )
    return Panel("Waiting and set aside", [depth, *_set_aside(now)])


def _set_aside(now: datetime) -> list[Row]:
    today = now.date()
    counts = ItemCount.objects.filter(outcome="set_aside", day__gt=today - timedelta(days=30)).aggregate(
        today=Sum("n", filter=Q(day=today)), month=Sum("n")
    )
    url = reverse("admin:ingest_setaside_changelist")
    return [
        Row(
            "Set aside today", figure_words(counts["today"] or 0), "warning" if counts["today"] else "ok", url
        ),
        Row("Set aside in 30 days", figure_words(counts["month"] or 0), url=url),
    ]


def quota_panel(project: Project) -> Panel:
    """What a project used of its quotas and of the installation's, and what was refused today. Two queries."""
    now = timezone.now()
    installation = installation_ends()
    with connection.cursor() as cursor:
        given = quotas.parameters(project.pk, now.date(), all_projects=bool(installation))
        cursor.execute(quotas.USED, given)
        used = cursor.fetchone()
    ends = quotas.Ends(project.events_per_day, project.events_per_month)
    shown = quotas.of(ends, installation, used, now.date())
    rows = [_quota_row(quota, now) for quota in shown]
    rows += [
        Row(label, figure_words(n), note="No quota is set.")
        for label, n, limit in (
            ("Events today", used[0], ends.per_day),
            ("Events this month", used[1], ends.per_month),
        )
        if limit is None
    ]
    return Panel("Events and quotas", [*rows, *_refused(project, now)])


def _quota_row(quota: quotas.Quota, now: datetime) -> Row:
    state = "critical" if quota.is_spent else "warning" if quota.used >= quota.limit * NEARLY_SPENT else "ok"
    left = duration_words((quota.resets_at - now).total_seconds())
    said = f"Resets {quota.resets_at:%Y-%m-%d %H:%M} UTC, in {left}."
    spent = "Senders are told 429 until then." if quota.is_spent else ""
    used = f"{figure_words(quota.used)} of {figure_words(quota.limit)}"
    return Row(quota.label, used, state, note=f"{said} {spent}".strip())


def _refused(project: Project, now: datetime) -> list[Row]:
    counted = ItemCount.objects.filter(project_id=project.pk, day=now.date(), outcome__in=REFUSED)
    sums = dict(counted.order_by().values_list("outcome").annotate(n=Sum("n")))
    return [
        Row(f"Refused today: {words}", figure_words(sums[outcome]), "warning")
        for outcome, words in REFUSED.items()
        if sums.get(outcome)
    ]
