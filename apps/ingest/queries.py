"""What ingestion tells pages of upper rooms and of its own layer: what waits, and what was set aside."""

from datetime import datetime, timedelta

from django.db.models import Q, Sum
from django.urls import reverse

from apps.core.models import TickRun
from apps.core.panels import Panel, Row
from apps.core.wording import duration_words, figure_words
from apps.ingest.models import ItemCount

WAITS_LONG_S = 30


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
