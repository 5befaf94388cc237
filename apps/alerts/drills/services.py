"""Drills are started, by people or by the week, and ended: acknowledged, or nobody did in time."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from apps.alerts import escalation, paging, services
from apps.alerts.drills import weekly
from apps.alerts.escalation import Plan, PolicyFacts, StepFacts
from apps.alerts.models import Alert, AlertState, Drill, DrillPlan, EscalationPolicy, Page, PageState
from apps.alerts.services import Act, Fired
from apps.audit import services as audit
from apps.audit.models import Category, Outcome
from apps.core.severity import Severity
from apps.core.ticks import TickReport
from apps.projects.models import Project

LASTS_S = 900
WORDS = "This is a drill: nothing is wrong. Acknowledge it as you would a real page."


# --- Starting -----------------------------------------------------------------------------------------------
@transaction.atomic
def start_drill(
    *, now: datetime, by: str, policy: EscalationPolicy | None = None, user: Any = None, actor: Any = None,
    plan: DrillPlan | None = None,
) -> Drill:  # fmt: skip
    """Page a policy or a person, labelled as a drill, through the engine.

    ValidationError when one of the same runs already, when neither or both are given, or without any project.
    """
    if (policy is None) == (user is None):
        raise ValidationError("Name a policy or a person, not both.")
    of = policy.name if policy else str(user.get_full_name() or user.get_username())
    if Drill.objects.filter(of=of, state=Drill.State.RUNNING).exists():
        raise ValidationError(f"A drill of {of} is running already.")
    alert = services.trigger(fired=_fired(of, policy), now=now, actor=actor)
    if user is not None:
        paging.freeze(alert=alert, made=plan_of_person(user, now), now=now)
    drill = Drill.objects.create(
        of=of[:150], alert=alert, plan=plan, started_by=by[:150], started_at=now,
        ends_at=now + timedelta(seconds=LASTS_S),
    )  # fmt: skip
    audit.record("drill.start", resource=drill, category=Category.SYSTEM, actor=actor, details={"by": by})
    return drill


def _fired(of: str, policy: EscalationPolicy | None) -> Fired:
    project = Project.objects.order_by("pk").first()
    if project is None:
        raise ValidationError("A drill needs a project: make one first.")
    return Fired(
        key=f"drill:{uuid4()}", title=f"[Drill] {of}"[:200], severity=Severity.CRITICAL, project=project,
        sentence=WORDS, policy=policy, opens_incident=False, is_drill=True,
    )  # fmt: skip


def plan_of_person(user: Any, now: datetime) -> Plan:
    """A plan that pages one person by their first way, with their others behind it."""
    name = str(user.get_full_name() or user.get_username())
    facts = PolicyFacts(f"Drill of {name}"[:80], (StepFacts(0, "people", (user.pk,)),), 0, 300, user.pk)
    return escalation.plan(facts, paging.people_facts({user.pk}), now)


# --- The tick -----------------------------------------------------------------------------------------------
def keep_drills(*, now: datetime) -> TickReport:
    """Start what the week says, end what is over."""
    started = sum(_start_planned(plan, now) for plan in _due_plans(now))
    ended = sum(end_drill(drill=drill, now=now) for drill in Drill.objects.filter(state=Drill.State.RUNNING))
    said = f"{started} started, {ended} ended" if started or ended else ""
    return TickReport(said, pieces=started + ended)


def _due_plans(now: datetime) -> list[DrillPlan]:
    due = Q(next_at=None) | Q(next_at__lte=now)
    return list(DrillPlan.objects.filter(due, enabled=True).select_related("policy", "user"))


@transaction.atomic
def _start_planned(plan: DrillPlan, now: datetime) -> bool:
    """Move the plan on, and start its drill if this run moved it and it is not too late."""
    due = plan.next_at
    coming = weekly.next_time(plan.weekday, plan.at, ZoneInfo(plan.zone), now)
    moved = DrillPlan.objects.filter(pk=plan.pk, next_at=due, enabled=True).update(next_at=coming)
    if not moved or due is None or now - due > weekly.LATE_BY:
        return False
    try:
        with transaction.atomic():
            start_drill(now=now, by="the week", policy=plan.policy, user=plan.user, plan=plan)
    except ValidationError as refusal:
        audit.record(
            "drill.start", resource=plan, category=Category.SYSTEM, outcome=Outcome.FAILURE,
            details={"why": " ".join(refusal.messages)},
        )  # fmt: skip
        return False
    return True


@transaction.atomic
def end_drill(*, drill: Drill, now: datetime) -> bool:
    """Write down how it ended, once: acknowledged, or its time is over. True if this ended it."""
    alert = Alert.objects.filter(pk=drill.alert_id or 0).first()
    acked_by, acked_at = _acknowledged(alert)
    if not acked_at and alert is not None and now < drill.ends_at:
        return False
    states = list(Page.objects.filter(alert=alert, escalation__isnull=False).values_list("state", flat=True))
    sent = sum(state in (PageState.SENT, PageState.DELIVERED) for state in states)
    state = _ending(bool(acked_at), bool(sent))
    if alert is not None:
        services.resolve(alert=alert, act=Act("the drill", now, via="drill"))
    held = Drill.objects.filter(pk=drill.pk, state=Drill.State.RUNNING).update(
        state=state, ended_at=now, acked_by=acked_by, acked_at=acked_at, sent=sent,
        failed=states.count(PageState.FAILED),
    )  # fmt: skip
    if held:
        good = state == Drill.State.ACKNOWLEDGED
        audit.record(
            "drill.end", resource=drill, category=Category.SYSTEM, details={"state": state, "by": acked_by},
            outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
        )  # fmt: skip
    return bool(held)


def _acknowledged(alert: Alert | None) -> tuple[str, datetime | None]:
    """Whoever answered: acknowledging it, or resolving it at once."""
    if alert is None or alert.state == AlertState.TRIGGERED:
        return "", None
    return (alert.acked_by, alert.acked_at) if alert.acked_at else (alert.resolved_by, alert.resolved_at)


def _ending(acknowledged: bool, sent: bool) -> str:
    if acknowledged:
        return Drill.State.ACKNOWLEDGED
    return Drill.State.UNANSWERED if sent else Drill.State.UNSENT
