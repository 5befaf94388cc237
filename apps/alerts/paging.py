"""Escalations: frozen when an alert is triggered, walked by the tick, stopped by acknowledgement.

The clock is the column next_at, never a broker's eta: a lost, doubled or late tick costs nothing but its
delay.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F, Min, Prefetch, prefetch_related_objects

from apps.alerts import channels, delivery, escalation, messages, outbox
from apps.alerts.escalation import ChannelFacts, MethodFacts, PersonFacts, Plan, PolicyFacts, StepFacts
from apps.alerts.models import (
    Alert,
    Channel,
    ContactMethod,
    Escalation,
    EscalationPolicy,
    EscalationState,
    EscalationStep,
    Page,
    PageState,
)
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import rotations
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.ticks import TickReport, wake
from apps.incidents import services as incidents

BATCH = 500


# --- Facts for the plan -------------------------------------------------------------------------------------
def policy_facts(policy: EscalationPolicy, duties: Mapping[int, rotations.Schedule]) -> PolicyFacts:
    """A stored policy, its steps prefetched, as the pure plan wants it; a team is its members now. `duties` are
    the schedules of its steps by id."""
    return PolicyFacts(
        policy.name, tuple(_step_facts(step, duties) for step in policy.steps.all()), policy.repeat_count,
        policy.repeat_wait_s, policy.fallback_user_id,
    )  # fmt: skip


def _step_facts(step: EscalationStep, duties: Mapping[int, rotations.Schedule]) -> StepFacts:
    if step.kind in (EscalationStep.Kind.SCHEDULE, EscalationStep.Kind.SCHEDULE_NEXT):
        name = step.schedule.name if step.schedule else ""
        duty = duties.get(step.schedule_id or 0)
        return StepFacts(step.wait_before_s, step.kind, schedule=duty, schedule_name=name)
    if step.kind == EscalationStep.Kind.CHANNEL:
        return StepFacts(step.wait_before_s, "channel", channel=_channel_facts(step.channel))
    if step.kind == EscalationStep.Kind.TEAM:
        members = sorted(u.pk for u in step.team.members.all()) if step.team else []
        return StepFacts(step.wait_before_s, "team", tuple(members), step.team.name if step.team else "none")
    return StepFacts(step.wait_before_s, "people", tuple(sorted(u.pk for u in step.users.all())))


def _channel_facts(channel: Channel | None) -> ChannelFacts | None:
    if channel is None:
        return None
    address = channel.address or f"channel:{channel.pk}"  # a secret address is not copied into plans
    return ChannelFacts(
        channel.pk, channel.name, channel.kind, address, channel.enabled, channel.broken_since is not None
    )


def people_facts(user_ids: Iterable[int]) -> dict[int, PersonFacts]:
    """People by id, each with their enabled contact methods in order, else the account's e-mail address."""
    methods = ContactMethod.objects.filter(enabled=True, kind__in=personal_kinds()).order_by("order", "id")
    users = get_user_model().objects.filter(pk__in=set(user_ids))
    found = users.prefetch_related(Prefetch("contact_methods", methods, to_attr="usable_methods"))
    return {user.pk: _person_facts(user) for user in found}


def personal_kinds() -> list[str]:
    """Kinds of channels that can reach a person."""
    return [kind for kind, sender in channels.registry.items() if sender.personal]


def _person_facts(user: Any) -> PersonFacts:
    own = tuple(MethodFacts(m.pk, m.kind, m.address) for m in user.usable_methods)
    if not own and user.email:
        own = (MethodFacts(None, "email", user.email),)
    return PersonFacts(user.pk, user.get_full_name() or user.get_username(), user.is_active, own)


def plan_for(policy: EscalationPolicy, now: datetime) -> Plan:
    """The plan of a policy as of now: what the engine freezes and what the preview shows."""
    return plans_for([policy], now)[policy.pk]


def plans_for(policies: list[EscalationPolicy], now: datetime) -> dict[int, Plan]:
    """Plans of several policies by id, in a fixed number of queries."""
    steps = EscalationStep.objects.select_related("team", "channel", "schedule").order_by("order", "id")
    wanted = Prefetch("steps", steps.prefetch_related("users", "team__members"))
    prefetch_related_objects(policies, wanted)
    scheduled = {step.schedule for policy in policies for step in policy.steps.all() if step.schedule}
    duties = oncall_facts.facts_of(scheduled, now) if scheduled else {}
    facts = {policy.pk: policy_facts(policy, duties) for policy in policies}
    named = {user_id for one in facts.values() for step in one.steps for user_id in step.user_ids}
    named |= {person for duty in duties.values() for person in rotations.people_of(duty)}
    people = people_facts(named | {one.fallback_user_id for one in facts.values()})
    return {pk: escalation.plan(one, people, now) for pk, one in facts.items()}


# --- Starting and stopping ----------------------------------------------------------------------------------
@transaction.atomic
def start_escalation(*, alert: Alert, policy: EscalationPolicy, now: datetime) -> Escalation | None:
    """Freeze the policy's plan for this episode of the alert; None when it began already."""
    made = plan_for(policy, now)
    first = escalation.first_stop(made)
    begun = {
        "policy_name": policy.name, "plan": made.to_json(), "step": first.step, "cycle": first.cycle,
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
        details={"policy": policy.name, "wrong": wrong},
    )
    if alert.incident:
        begun_as = "begins when nothing suppresses it" if alert.suppressed else "began"
        text = f"Escalation {begun_as}: {policy.name}" + (f". {' '.join(wrong)}" if wrong else "")
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


# --- Walking ------------------------------------------------------------------------------------------------
@dataclass
class Move:
    """What one due run does now: pages to make, then where it stands."""

    run: Escalation
    pages: list[Page]
    stop: escalation.Stop | None = None
    state: str = EscalationState.ACTIVE
    next_at: datetime | None = None


def escalate_due(*, now: datetime, limit: int = 10_000) -> TickReport:
    """Run every due step once. `now` is the database's clock; the next step waits from now, never from its
    old time, so that a jump of the clock or a pause runs one step and not a burst."""
    done = made = 0
    while done < limit:
        runs, pages = _advance_batch(now=now, size=min(BATCH, limit - done))
        done, made = done + runs, made + pages
        if not runs:
            break
    left = Escalation.objects.due(now)
    oldest = left.aggregate(at=Min("next_at"))["at"]
    return TickReport(f"{done} steps, {made} pages", left[:10_000].count() if oldest else 0, oldest)


@transaction.atomic
def _advance_batch(*, now: datetime, size: int) -> tuple[int, int]:
    """Up to `size` due runs in one transaction: (runs, pages made).

    SKIP LOCKED keeps two workers apart; safety lies in the version that the UPDATE asks for.
    """
    due = (
        Escalation.objects.due(now)
        .select_for_update(skip_locked=True, no_key=True, of=("self",))
        .select_related("alert__project", "alert__component", "alert__incident")
        .order_by("next_at")
    )
    runs = list(due[:size])
    closing = _page_states([run for run in runs if _is_closing(run)])
    moves = [_move(run, closing.get(run.pk), now) for run in runs]
    held = _write_moves(moves)
    kept = [move for move in moves if move.run.pk in held]
    outbox.insert([page for move in kept for page in move.pages])
    _tell(kept, now)
    return len(kept), sum(len(move.pages) for move in kept)


def _is_closing(run: Escalation) -> bool:
    return run.step >= len(run.plan["steps"])


def _page_states(runs: list[Escalation]) -> dict[int, Counter[str]]:
    states: dict[int, Counter[str]] = {run.pk: Counter() for run in runs}
    for run_id, state in Page.objects.filter(escalation__in=runs).values_list("escalation_id", "state"):
        states[run_id][state] += 1
    return states


def _move(run: Escalation, closing: Counter[str] | None, now: datetime) -> Move:
    made = escalation.plan_of(run.plan)
    if closing is not None:
        return _close(run, made, closing, now)
    stop = escalation.next_stop(made, run.cycle, run.step)
    next_at = now + timedelta(seconds=max(stop.wait_s, 1))  # never two steps of one run in one tick
    pages = _pages(run, made.steps[run.step].in_round(run.cycle), now, delivery.page_deadline(now, next_at))
    return Move(run, pages, stop, next_at=next_at)


def _pages(
    run: Escalation, targets: Iterable[escalation.Target], now: datetime, deadline: datetime
) -> list[Page]:
    told = messages.page(run.alert, run, messages.url_of(run.alert))
    return [outbox.page_for(run, run.alert, target, told, deadline=deadline, now=now) for target in targets]


def _close(run: Escalation, made: Plan, states: Counter[str], now: datetime) -> Move:
    """The end of a run: done if a page went out, later if one is still on its way, else the fallback, and red."""
    here = escalation.Stop(run.cycle, run.step, 0, closing=True)
    if states[PageState.SENT] or states[PageState.DELIVERED]:
        return Move(run, [], here, EscalationState.EXHAUSTED, now)
    if states[PageState.PENDING] or states[PageState.CLAIMED]:
        return Move(run, [], here, next_at=now + timedelta(seconds=escalation.LOOK_AGAIN_S))
    pages = _pages(run, made.fallback, now, now + timedelta(seconds=delivery.NOTICE_LIFE_S))
    return Move(run, pages, here, EscalationState.UNREACHED, now)


def _write_moves(moves: list[Move]) -> set[int]:
    """One UPDATE for all; the ids of the runs that were still as they had been read."""
    if not moves:
        return set()
    rows = [
        (m.run.pk, m.run.version, m.stop.step, m.stop.cycle, m.next_at, str(m.state), len(m.pages))
        for m in moves if m.stop
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_escalation e SET step = v.step, cycle = v.cycle, next_at = v.next_at, "
            "state = v.state, reached = e.reached + v.pages, version = e.version + 1 "
            "FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::int[], %s::timestamptz[], "
            "%s::text[], %s::int[]) AS v(id, version, step, cycle, next_at, state, pages) "
            "WHERE e.id = v.id AND e.version = v.version AND e.state = 'active' RETURNING e.id",
            [list(column) for column in zip(*rows, strict=True)],
        )
        return {pk for (pk,) in cursor.fetchall()}


def _tell(moves: list[Move], now: datetime) -> None:
    """One audit event for the batch, naming each run; one timeline entry per run that belongs to an incident."""
    spoken = [m for m in moves if m.pages or m.state != EscalationState.ACTIVE]
    if not spoken:
        return
    steps = [[m.run.pk, m.run.cycle, m.run.step, len(m.pages), str(m.state)] for m in spoken]
    audit.record(
        "escalation.step", resource=("alerts.Escalation", f"{len(spoken)} runs"), category=Category.SYSTEM,
        details={"columns": "escalation, round, step, pages, state", "steps": steps},
    )  # fmt: skip
    for move in spoken:
        if move.run.alert.incident is not None:
            tone = "bad" if move.state == EscalationState.UNREACHED else "neutral"
            incidents.add_entry(
                incident=move.run.alert.incident, action="escalation.step", text=_sentence(move), at=now,
                tone=tone, data={"escalation": move.run.pk, "round": move.run.cycle, "step": move.run.step},
            )  # fmt: skip


def _sentence(move: Move) -> str:
    ways: dict[str, list[str]] = defaultdict(list)
    for page in move.pages:
        ways[page.kind].append(page.target_label)
    whom = "; ".join(f"{', '.join(people)} by {kind}" for kind, people in ways.items())
    if move.state == EscalationState.EXHAUSTED:
        return "Escalation done: every step was run, nobody acknowledged yet"
    if move.state == EscalationState.UNREACHED:
        return (
            f"Reached nobody; paging the fallback {whom}" if whom else "Reached nobody, not even the fallback"
        )
    again = f", round {move.run.cycle + 1}" if move.run.cycle else ""
    return f"Step {move.run.step + 1}{again}: paging {whom}"
