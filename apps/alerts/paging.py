"""Escalations: frozen when an alert is triggered, held, lifted, stopped. `walking.py` runs what is due."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from apps.alerts import escalation
from apps.alerts.escalation import Plan
from apps.alerts.models import Alert, Escalation, EscalationPolicy, EscalationState
from apps.alerts.planning import people_facts, plan_for, plans_for
from apps.alerts.walking import escalate_due
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.ticks import wake
from apps.incidents import services as incidents

__all__ = (
    "escalate_due",
    "pause_escalations",
    "people_facts",
    "plan_for",
    "plans_for",
    "resume_escalations",
    "start_escalation",
    "stop_escalations",
)


@transaction.atomic
def start_escalation(*, alert: Alert, policy: EscalationPolicy, now: datetime) -> Escalation | None:
    """Freeze the policy's plan for this episode of the alert; None when it began already."""
    return freeze(alert=alert, made=plan_for(policy, now), now=now)


@transaction.atomic
def freeze(*, alert: Alert, made: Plan, now: datetime) -> Escalation | None:
    """Begin the run of a plan for this episode of the alert; None when it began already."""
    first = escalation.first_stop(made)
    begun = {
        "policy_name": made.policy, "plan": made.to_json(), "step": first.step, "cycle": first.cycle,
        "next_at": now + timedelta(seconds=first.wait_s), "started_at": now,
        "state": EscalationState.PAUSED if alert.suppressed else EscalationState.ACTIVE,
    }  # fmt: skip
    stored, new = Escalation.objects.get_or_create(alert=alert, epoch=alert.epoch, defaults=begun)
    if not new:
        return None
    wake("alerts.escalate")
    wrong = [p for step in made.steps for p in step.problems] + list(made.problems)
    audit.record(
        "escalation.start",
        resource=stored,
        category=Category.SYSTEM,
        details={"policy": made.policy, "wrong": wrong},
    )
    if alert.incident:
        begun_as = "begins when nothing suppresses it" if alert.suppressed else "began"
        text = f"Escalation {begun_as}: {made.policy}" + (f". {' '.join(wrong)}" if wrong else "")
        incidents.add_entry(
            incident=alert.incident, action="escalation.start", text=text, at=now,
            tone="bad" if wrong else "neutral", data={"escalation": stored.pk},
        )  # fmt: skip
    return stored


def stop_escalations(alert_ids: Iterable[int]) -> int:
    """End the runs of these alerts, whose rows the caller has locked. Pages are cancelled by a later statement."""
    return Escalation.objects.filter(
        alert_id__in=list(alert_ids), state__in=(EscalationState.ACTIVE, EscalationState.PAUSED)
    ).update(state=EscalationState.STOPPED, version=F("version") + 1)


def pause_escalations(alert_ids: Iterable[int]) -> int:
    """Hold the runs of these alerts, whose rows the caller has locked, and their waiting pages; how many were held.

    A suppression calls this. A page that is being sent at that moment still goes out.
    """
    return Escalation.objects.filter(alert_id__in=list(alert_ids), state=EscalationState.ACTIVE).update(
        state=EscalationState.PAUSED, version=F("version") + 1
    )


def resume_escalations(alert_ids: Iterable[int], now: datetime) -> int:
    """Let the held runs of these alerts go on, whose rows the caller has locked; how many went on.

    A step that came due meanwhile is due now: one step, not all that were missed.
    """
    going = Escalation.objects.filter(alert_id__in=list(alert_ids), state=EscalationState.PAUSED).update(
        state=EscalationState.ACTIVE, version=F("version") + 1, next_at=Greatest(F("next_at"), now)
    )
    if going:
        wake("alerts.escalate")
        wake("alerts.deliver")
    return going
