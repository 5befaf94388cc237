"""Escalations: frozen when an alert is triggered, held, lifted, stopped. `walking.py` runs what is due."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest

from apps.alerts import delivery, escalation
from apps.alerts.escalation import Plan
from apps.alerts.models import (
    Alert,
    AlertState,
    Escalation,
    EscalationPolicy,
    EscalationState,
    EscalationStep,
    Page,
    PageState,
)
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


_TURNS = 2**30  # far above any number of people, far below the column's end


@transaction.atomic
def start_escalation(*, alert: Alert, policy: EscalationPolicy, now: datetime) -> Escalation | None:
    """Freeze the policy's plan for this episode of the alert; None when it began already."""
    policy = _next_turn(policy)
    return freeze(alert=alert, made=plan_for(policy, now, alert.severity), now=now)


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


def _next_turn(policy: EscalationPolicy) -> EscalationPolicy:
    """Each start takes a turn of its own: the UPDATE holds the step until the plan is stored. The policy, read anew
    where it has turns."""
    robins = EscalationStep.objects.filter(policy=policy, kind=EscalationStep.Kind.ROUND_ROBIN)
    taken = robins.update(turn=(F("turn") + 1) % _TURNS)
    return EscalationPolicy.objects.get(pk=policy.pk) if taken else policy


def stop_escalations(alert_ids: Iterable[int]) -> int:
    """End the runs of these alerts, whose rows the caller has locked. Pages are cancelled by a later statement."""
    return Escalation.objects.filter(
        alert_id__in=list(alert_ids), state__in=(EscalationState.ACTIVE, EscalationState.PAUSED)
    ).update(state=EscalationState.STOPPED, version=F("version") + 1)


def pause_escalations(alert_ids: Iterable[int]) -> int:
    """Hold the active runs of these locked alerts. Their waiting pages stay: claims refuse them meanwhile."""
    runs = Escalation.objects.filter(alert_id__in=list(alert_ids), state=EscalationState.ACTIVE)
    return runs.update(state=EscalationState.PAUSED, version=F("version") + 1)


def resume_escalations(alert_ids: Iterable[int], now: datetime) -> int:
    """Let the paused runs of these locked alerts go on: what fell due meanwhile is due now, as one step.

    Only the run of the present episode, and only while the alert fires. Pages that waited live on from now.
    """
    ids = list(alert_ids)
    runs = Escalation.objects.filter(
        alert_id__in=ids,
        state=EscalationState.PAUSED,
        alert__state=AlertState.TRIGGERED,
        epoch=F("alert__epoch"),
    )
    again = list(runs.values_list("pk", flat=True))
    resumed = Escalation.objects.filter(pk__in=again, state=EscalationState.PAUSED).update(
        state=EscalationState.ACTIVE, next_at=Greatest(F("next_at"), now), version=F("version") + 1
    )
    alive = now + timedelta(seconds=delivery.MIN_LIFE_S)
    Page.objects.filter(
        Q(state=PageState.PENDING) | Q(state=PageState.CLAIMED), escalation__in=again, deadline__lt=alive
    ).update(deadline=alive)
    if resumed:
        wake("alerts.escalate")
        wake("alerts.deliver")
    return resumed
