"""Reads of the alerts room for pages that show who is paged next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from apps.alerts.models import Escalation, EscalationState


@dataclass(frozen=True)
class Coming:
    """The next page of an incident: when, and to whom in words."""

    at: datetime
    to: str


def next_pages(incident_ids: Iterable[int]) -> dict[int, Coming]:
    """The soonest next page of each incident; those that page nobody any more are left out."""
    runs = Escalation.objects.filter(
        state=EscalationState.ACTIVE, alert__incident__in=list(incident_ids)
    ).select_related("alert").order_by("-next_at")
    return {run.alert.incident_id: Coming(run.next_at, _whom(run)) for run in runs}


def _whom(run: Escalation) -> str:
    steps = run.plan.get("steps", [])
    step = steps[run.step] if run.step < len(steps) else {}
    return ", ".join(t.get("label", "") for t in step.get("targets", []))
