"""Reads of the alerts room: who is paged next, what an incident's page and a post-mortem show of paging, figures."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, F, Q
from django.urls import reverse

from apps.alerts.models import Alert, AlertState, Escalation, EscalationState, Page, PageState
from apps.core.panels import Panel, Row
from apps.incidents.models import Incident

SHOWN = 20


@dataclass(frozen=True)
class Coming:
    """The next page of an incident: when, and to whom in words."""

    at: datetime
    to: str


def next_pages(incident_ids: Iterable[int]) -> dict[int, Coming]:
    """The soonest next page of each incident; those that page nobody any more are left out."""
    runs = (
        Escalation.objects.filter(state=EscalationState.ACTIVE, alert__incident__in=list(incident_ids))
        .select_related("alert")
        .order_by("-next_at")
    )
    found = {}
    for run in runs:
        to = _whom(run)
        if to and run.alert.incident_id:
            found[run.alert.incident_id] = Coming(run.next_at, to)
    return found


def next_page(incident: Incident) -> Coming | None:
    """The soonest next page of one incident."""
    return next_pages([incident.pk]).get(incident.pk)


def _whom(run: Escalation) -> str:
    """Labels of the step that is next; nothing when only the closing look is left."""
    steps = run.plan.get("steps", [])
    step = steps[run.step] if run.step < len(steps) else {}
    later = step.get("later")
    targets = later[run.cycle - 1] if run.cycle and later else step.get("targets", [])
    return ", ".join(target.get("label", "") for target in targets)


# --- Panels -------------------------------------------------------------------------------------------------
def alerts_panel(incident: Incident) -> Panel:
    """At the side of an incident: its alerts, newest first."""
    alerts = Alert.objects.filter(incident=incident).order_by("-triggered_at")[:SHOWN]
    rows = [
        Row(a.title, _times(a), _badge(a), _change("alert", a.pk), a.sentence, a.triggered_at) for a in alerts
    ]
    return Panel("Alerts", rows, empty="No alert is attached.", order=10)


def paging_panel(incident: Incident) -> Panel:
    """At the side of an incident: who is paged next, and who was paged with what outcome."""
    rows = []
    if coming := next_page(incident):
        rows.append(Row(f"Next: {coming.to}", "", "pending", at=coming.at))
    rows += [_page_row(page) for page in _pages_of(incident)[:SHOWN]]
    unreached = Escalation.objects.filter(alert__incident=incident, state=EscalationState.UNREACHED)
    if unreached.exists():
        rows.insert(0, Row("Nobody was reached", state="nobody"))
    return Panel("Paging", rows, empty=_why_nobody(incident), order=20)


def _pages_of(incident: Incident) -> Any:
    return Page.objects.filter(alert__incident=incident, escalation__isnull=False).order_by("-id")


def _page_row(page: Page) -> Row:
    when = page.sent_at or page.created_at
    words = f"{page.get_state_display()} by {page.kind}"
    return Row(page.target_label, words, page.state, _change("page", page.pk), page.failure, when)


def _why_nobody(incident: Incident) -> str:
    if incident.page_nobody:
        return "Opened to page nobody."
    if Alert.objects.open().filter(incident=incident, policy=None).exists():
        return "Pages nobody: the rule has no escalation policy."
    return "Nobody was paged."


def postmortem_panel(incident: Incident) -> Panel:
    """Facts for a draft: what fired when, and who was paged when."""
    alerts = Alert.objects.filter(incident=incident).order_by("triggered_at")[:SHOWN]
    rows = [
        Row(a.title, a.get_state_display(), _badge(a), _change("alert", a.pk), a.sentence, a.triggered_at)
        for a in alerts
    ]
    sent = _pages_of(incident).filter(state__in=(PageState.SENT, PageState.DELIVERED, PageState.FAILED))
    rows += [_page_row(page) for page in sent.order_by("id")[:SHOWN]]
    return Panel("Alerts and pages", rows, empty="Nothing fired and nobody was paged.", order=20)


def _badge(alert: Alert) -> str:
    return "firing" if alert.state == AlertState.TRIGGERED else str(alert.state)


def _times(alert: Alert) -> str:
    words = str(alert.get_state_display())
    return words if alert.count == 1 else f"{words}, {alert.count} times"


def _change(model: str, pk: int) -> str:
    return reverse(f"admin:alerts_{model}_change", args=[pk])


# --- Figures ------------------------------------------------------------------------------------------------
def stats(*, now: datetime, days: int = 7) -> dict[str, Any]:
    """Counts of what is open, by severity too; of the last days: how many, mean seconds to acknowledge, pages."""
    since = now - timedelta(days=days)
    open_ = Alert.objects.real().open().order_by()
    counts = open_.aggregate(
        open=Count("pk"),
        triggered=Count("pk", filter=Q(state=AlertState.TRIGGERED)),
        acknowledged=Count("pk", filter=Q(state=AlertState.ACKNOWLEDGED)),
    )
    by_severity = dict(open_.values_list("severity").annotate(Count("pk")))
    recent = Alert.objects.real().filter(triggered_at__gte=since).aggregate(
        triggered=Count("pk"), acknowledge=Avg(F("acked_at") - F("triggered_at")),
        resolved=Count("pk", filter=Q(state=AlertState.RESOLVED)),
    )  # fmt: skip
    pages = dict(
        Page.objects.filter(created_at__gte=since, escalation__isnull=False, alert__is_drill=False)
        .order_by().values_list("state").annotate(Count("pk"))
    )  # fmt: skip
    mean = recent["acknowledge"]
    return {
        **counts,
        "bySeverity": by_severity,
        "days": days,
        "recent": {
            "triggered": recent["triggered"],
            "resolved": recent["resolved"],
            "meanSecondsToAcknowledge": None if mean is None else round(mean.total_seconds(), 1),
            "pages": pages,
        },
    }
