"""Policies, people and schedules as they stand in the database, handed to the pure plan."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Prefetch, prefetch_related_objects

from apps.alerts import channels, escalation
from apps.alerts.doubts import doubts
from apps.alerts.escalation import ChannelFacts, MethodFacts, PersonFacts, Plan, PolicyFacts, StepFacts
from apps.alerts.gates import Gate
from apps.alerts.models import Channel, ContactMethod, EscalationPolicy, EscalationStep
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import rotations
from apps.core.severity import Severity


def policy_facts(policy: EscalationPolicy, duties: Mapping[int, rotations.Schedule]) -> PolicyFacts:
    """A stored policy, its steps prefetched, as the pure plan wants it; a team is its members now. `duties` are
    the schedules of its steps by id."""
    return PolicyFacts(
        policy.name, tuple(_step_facts(step, duties) for step in policy.steps.all()), policy.repeat_count,
        policy.repeat_wait_s, policy.fallback_user_id,
    )  # fmt: skip


def _step_facts(step: EscalationStep, duties: Mapping[int, rotations.Schedule]) -> StepFacts:
    found = _target_facts(step, duties)
    return replace(
        found, urgency=step.urgency, skip_if_empty=step.skip_if_empty, require_all=step.require_ack == "all"
    )


def _target_facts(step: EscalationStep, duties: Mapping[int, rotations.Schedule]) -> StepFacts:
    if step.kind == EscalationStep.Kind.GATE:
        return StepFacts(0, "gate", gate=gate_of(step))
    if step.kind in (EscalationStep.Kind.SCHEDULE, EscalationStep.Kind.SCHEDULE_NEXT):
        name = step.schedule.name if step.schedule else ""
        duty = duties.get(step.schedule_id or 0)
        return StepFacts(step.wait_before_s, step.kind, schedule=duty, schedule_name=name)
    if step.kind in (EscalationStep.Kind.CHANNEL, EscalationStep.Kind.WEBHOOK):
        return StepFacts(step.wait_before_s, step.kind, channel=_channel_facts(step.channel))
    if step.kind == EscalationStep.Kind.TEAM:
        members = sorted(u.pk for u in step.team.members.all()) if step.team else []
        return StepFacts(step.wait_before_s, "team", tuple(members), step.team.name if step.team else "none")
    turn = step.turn if step.kind == EscalationStep.Kind.ROUND_ROBIN else 0
    return StepFacts(step.wait_before_s, step.kind, tuple(sorted(u.pk for u in step.users.all())), turn=turn)


def gate_of(step: EscalationStep) -> Gate:
    """The gate that a step describes."""
    return Gate(
        step.gate_zone, tuple(int(n) for n in step.gate_weekdays), step.gate_from, step.gate_until,
        step.gate_holidays, step.gate_severity, step.gate_skips,
    )  # fmt: skip


def _channel_facts(channel: Channel | None) -> ChannelFacts | None:
    if channel is None:
        return None
    address = channel.address or f"channel:{channel.pk}"  # a secret address is not copied into plans
    return ChannelFacts(
        channel.pk, channel.name, channel.kind, address, channel.enabled, channel.broken_since is not None
    )


def people_facts(user_ids: Iterable[int]) -> dict[int, PersonFacts]:
    """People by id, each with their enabled and verified contact methods in order, else the account's address."""
    methods = ContactMethod.objects.filter(enabled=True, kind__in=personal_kinds()).order_by("order", "id")
    users = get_user_model().objects.filter(pk__in=set(user_ids))
    found = users.prefetch_related(Prefetch("contact_methods", methods, to_attr="usable_methods"))
    return {user.pk: _person_facts(user) for user in found}


def personal_kinds() -> list[str]:
    """Kinds of channels that can reach a person."""
    return [kind for kind, sender in channels.registry.items() if sender.personal]


def _person_facts(user: Any) -> PersonFacts:
    proven = [
        m for m in user.usable_methods if m.verified_at or (m.kind == "email" and m.address == user.email)
    ]
    own = tuple(MethodFacts(m.pk, m.kind, m.address, m.urgency) for m in proven)
    if not own and user.email:
        own = (MethodFacts(None, "email", user.email),)
    left_out = tuple(f"{m.kind} {m.address}" for m in user.usable_methods if m not in proven)
    return PersonFacts(user.pk, user.get_full_name() or user.get_username(), user.is_active, own, left_out)


def plan_for(policy: EscalationPolicy, now: datetime, severity: str = Severity.CRITICAL) -> Plan:
    """The plan of a policy as of now: what the engine freezes and what the preview shows."""
    return plans_for([policy], now, severity)[policy.pk]


def doubts_of(policy: EscalationPolicy, now: datetime) -> list[str]:
    """What is odd about a policy as it stands, in sentences."""
    made = plan_for(policy, now)  # and its steps are prefetched
    return list(doubts(policy_facts(policy, {}), made, now))


def with_steps(policies: list[EscalationPolicy]) -> None:
    """Prefetch what `policy_facts` reads."""
    steps = EscalationStep.objects.select_related("team", "channel", "schedule").order_by("order", "id")
    wanted = Prefetch("steps", steps.prefetch_related("users", "team__members"))
    prefetch_related_objects(policies, wanted)


def plans_for(
    policies: list[EscalationPolicy], now: datetime, severity: str = Severity.CRITICAL
) -> dict[int, Plan]:
    """Plans of several policies by id, in a fixed number of queries."""
    with_steps(policies)
    scheduled = {step.schedule for policy in policies for step in policy.steps.all() if step.schedule}
    duties = oncall_facts.facts_of(scheduled, now) if scheduled else {}
    facts = {policy.pk: policy_facts(policy, duties) for policy in policies}
    named = {user_id for one in facts.values() for step in one.steps for user_id in step.user_ids}
    named |= {person for duty in duties.values() for person in rotations.people_of(duty)}
    people = people_facts(named | {one.fallback_user_id for one in facts.values()})
    return {pk: escalation.plan(one, people, now, str(severity)) for pk, one in facts.items()}
