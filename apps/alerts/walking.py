"""The walk of escalations: every due step once, thousands of runs in few statements.

The clock is the column next_at, never a broker's eta: a lost, doubled or late tick costs nothing but its
delay.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Min

from apps.alerts import delivery, escalation, messages, outbox, planning
from apps.alerts.escalation import Plan, Stop, Target
from apps.alerts.models import Escalation, EscalationPolicy, EscalationState, Page, PageState
from apps.audit import services as audit
from apps.audit.models import Category, Outcome
from apps.core.ticks import TickReport
from apps.incidents import services as incidents
from apps.projects.models import Component, Project

BATCH = 2_000
_AUDITED_AT_ONCE = 500  # an audit event holds 16 KiB of details
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


@dataclass(slots=True)
class Move:
    """What one due run does now: pages to make, then where it stands. `broken` says why its plan cannot be run."""

    run: Escalation
    pages: list[Page]
    stop: Stop
    next_at: datetime
    state: str = EscalationState.ACTIVE
    broken: str = ""


def escalate_due(*, now: datetime, limit: int = 10_000) -> TickReport:
    """Run every due step once. `now` is the database's clock; the next step waits from now, never from its
    old time, so that a jump of the clock or a pause runs one step and not a burst."""
    done = made = broken = 0
    while done < limit:
        moves = _advance_batch(now=now, size=min(BATCH, limit - done))
        if not moves:
            break
        done, made = done + len(moves), made + sum(len(move.pages) for move in moves)
        broken += sum(1 for move in moves if move.broken)
    left = Escalation.objects.due(now)
    oldest = left.aggregate(at=Min("next_at"))["at"]
    backlog = left[:10_000].count() if oldest else 0
    return TickReport(f"{done} steps, {made} pages", backlog, oldest, rejected=broken)


@transaction.atomic
def _advance_batch(*, now: datetime, size: int) -> list[Move]:
    """Up to `size` due runs in one transaction: those that this call moved.

    SKIP LOCKED keeps two workers apart; safety lies in the version that the UPDATE asks for.
    """
    runs = _due(now, size)
    closing = _page_states([run for run in runs if _is_closing(run)])
    moves = [_move(run, closing.get(run.pk), now) for run in runs]
    held = _write_moves(moves)
    kept = [move for move in moves if move.run.pk in held]
    made = [page for move in kept for page in move.pages]
    if made:
        outbox.insert(made)
    _tell(kept, now)
    return kept


# --- Reading --------------------------------------------------------------------------------------------------
_RUN = ("id", "version", "epoch", "cycle", "step", "policy_name", "plan", "started_at")
_ALERT = (
    "id", "dedup_key", "project_id", "component_id", "incident_id", "policy_id", "title", "sentence", "severity",
    "epoch", "triggered_at",
)  # fmt: skip


def _due(now: datetime, size: int) -> list[Escalation]:
    """Due runs, locked, with their alerts; what many alerts share is read once."""
    wanted = Escalation.objects.due(now).select_related("alert").only(*_RUN, *(f"alert__{n}" for n in _ALERT))
    locked = wanted.select_for_update(skip_locked=True, no_key=True, of=("self",)).order_by("next_at")
    runs = list(locked[:size])
    projects = Project.objects.in_bulk({run.alert.project_id for run in runs})
    components = Component.objects.in_bulk({run.alert.component_id for run in runs if run.alert.component_id})
    for run in runs:
        run.alert.project = projects[run.alert.project_id]
        run.alert.component = components.get(run.alert.component_id or 0)
    return runs


def _is_closing(run: Escalation) -> bool:
    try:
        return run.step >= len(run.plan["steps"])
    except _UNREADABLE:
        return False


def _page_states(runs: list[Escalation]) -> dict[int, Counter[str]]:
    states: dict[int, Counter[str]] = {run.pk: Counter() for run in runs}
    if runs:
        pages = Page.objects.filter(escalation__in=runs).values_list("escalation_id", "state")
        for run_id, state in pages:
            states[run_id or 0][state] += 1
    return states


# --- Deciding -------------------------------------------------------------------------------------------------
def _move(run: Escalation, closing: Counter[str] | None, now: datetime) -> Move:
    """One run's move. A plan that cannot be read ends that run, red, and no other."""
    try:
        made = escalation.plan_of(run.plan)
        return _close(run, made, closing, now) if closing is not None else _step(run, made, now)
    except _UNREADABLE as error:
        return _set_aside(run, f"{type(error).__name__}: {error}"[:200], now)


def _step(run: Escalation, made: Plan, now: datetime) -> Move:
    stop = escalation.next_stop(made, run.cycle, run.step)
    next_at = now + timedelta(seconds=max(stop.wait_s, 1))  # never two steps of one run in one tick
    pages = _pages(run, made.steps[run.step].in_round(run.cycle), now, delivery.page_deadline(now, next_at))
    return Move(run, pages, stop, next_at)


def _pages(run: Escalation, targets: Iterable[Target], now: datetime, deadline: datetime) -> list[Page]:
    told = messages.page(run.alert, run, messages.url_of(run.alert))
    return [outbox.page_for(run, run.alert, target, told, deadline=deadline, now=now) for target in targets]


def _close(run: Escalation, made: Plan, states: Counter[str], now: datetime) -> Move:
    """The end of a run: done if a page went out, later if one is still on its way, else the fallback, and red."""
    here = Stop(run.cycle, run.step, 0, closing=True)
    if states[PageState.SENT] or states[PageState.DELIVERED]:
        return Move(run, [], here, now, EscalationState.EXHAUSTED)
    if states[PageState.PENDING] or states[PageState.CLAIMED]:
        return Move(run, [], here, now + timedelta(seconds=escalation.LOOK_AGAIN_S))
    pages = _pages(run, made.fallback, now, now + timedelta(seconds=delivery.NOTICE_LIFE_S))
    return Move(run, pages, here, now, EscalationState.UNREACHED)


def _set_aside(run: Escalation, error: str, now: datetime) -> Move:
    """A run whose plan cannot be read is over, and the fallback that its policy names today is paged."""
    policy = EscalationPolicy.objects.filter(pk=run.alert.policy_id or 0).first()
    targets = planning.plan_for(policy, now).fallback if policy else ()
    pages = _pages(run, targets, now, now + timedelta(seconds=delivery.NOTICE_LIFE_S))
    here = Stop(run.cycle, run.step, 0, closing=True)
    return Move(run, pages, here, now, EscalationState.UNREACHED, broken=error)


# --- Writing --------------------------------------------------------------------------------------------------
_WRITE = """
UPDATE alerts_escalation e SET step = v.step, cycle = v.cycle, next_at = v.next_at, state = v.state,
  reached = e.reached + v.pages, version = e.version + 1
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::int[], %s::timestamptz[], %s::text[], %s::int[])
  AS v(id, version, step, cycle, next_at, state, pages)
WHERE e.id = v.id AND e.version = v.version AND e.state = 'active' RETURNING e.id
"""


def _write_moves(moves: list[Move]) -> set[int]:
    """One UPDATE for all; the ids of the runs that were still as they had been read."""
    if not moves:
        return set()
    rows = [
        (m.run.pk, m.run.version, m.stop.step, m.stop.cycle, m.next_at, str(m.state), len(m.pages))
        for m in moves
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])
        return {pk for (pk,) in cursor.fetchall()}


# --- Telling --------------------------------------------------------------------------------------------------
def _tell(moves: list[Move], now: datetime) -> None:
    """Audit events that name each run; one timeline entry per run that belongs to an incident."""
    spoken = [m for m in moves if m.pages or m.state != EscalationState.ACTIVE]
    for begin in range(0, len(spoken), _AUDITED_AT_ONCE):
        _audit(spoken[begin : begin + _AUDITED_AT_ONCE])
    for move in moves:
        if move.broken:
            audit.record(
                "escalation.broken", resource=move.run, category=Category.SYSTEM, outcome=Outcome.ERROR,
                details={"error": move.broken},
            )  # fmt: skip
    incidents.add_entries(
        [
            incidents.Entry(
                move.run.alert.incident_id, "escalation.step", _sentence(move), now,
                "bad" if move.state == EscalationState.UNREACHED else "neutral",
                {"escalation": move.run.pk, "round": move.run.cycle, "step": move.run.step},
            )
            for move in spoken if move.run.alert.incident_id
        ]
    )  # fmt: skip


@dataclass
class _Alike:
    """Runs that did the same."""

    runs: list[int] = field(default_factory=list)
    pages: int = 0


def _audit(moves: list[Move]) -> None:
    alike: dict[tuple[int, int, str], _Alike] = defaultdict(_Alike)
    for move in moves:
        same = alike[move.run.cycle, move.run.step, str(move.state)]
        same.runs.append(move.run.pk)
        same.pages += len(move.pages)
    steps = [[*what, same.pages, same.runs] for what, same in alike.items()]
    audit.record(
        "escalation.step", resource=("alerts.Escalation", f"{len(moves)} runs"), category=Category.SYSTEM,
        details={"columns": "round, step, state, pages, escalations", "steps": steps},
    )  # fmt: skip


def _sentence(move: Move) -> str:
    ways: dict[str, list[str]] = defaultdict(list)
    for page in move.pages:
        ways[page.kind].append(page.target_label)
    whom = "; ".join(f"{', '.join(people)} by {kind}" for kind, people in ways.items())
    if move.broken:
        return f"The plan cannot be read ({move.broken}); paging the fallback {whom or '- there is none'}"
    if move.state == EscalationState.EXHAUSTED:
        return "Escalation done: every step was run, nobody acknowledged yet"
    if move.state == EscalationState.UNREACHED:
        return (
            f"Reached nobody; paging the fallback {whom}" if whom else "Reached nobody, not even the fallback"
        )
    again = f", round {move.run.cycle + 1}" if move.run.cycle else ""
    return f"Step {move.run.step + 1}{again}: paging {whom}"
