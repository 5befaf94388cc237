"""The walk of escalations: every due step once, thousands of runs in few statements.

The clock is the column next_at, never a broker's eta: a lost, doubled or late tick costs nothing but its
delay.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from django.db import connection, transaction
from django.db.models import Min

from apps.alerts import delivery, escalation, messages, outbox, planning
from apps.alerts.due import Due, Run, read
from apps.alerts.escalation import Plan, Stop, Target
from apps.alerts.models import Escalation, EscalationPolicy, EscalationState, Page, PageState
from apps.audit import services as audit
from apps.audit.models import Category, Outcome
from apps.core.ticks import TickReport
from apps.incidents import services as incidents

BATCH, HANDS = 2_000, 2
_AUDITED_AT_ONCE = 500  # an audit event holds 16 KiB of details
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


@dataclass(slots=True)
class Move:
    """What one due run does now: pages to make, then where it stands. `broken` says why its plan cannot be run."""

    due: Due
    pages: list[outbox.Row]
    stop: Stop
    next_at: datetime
    state: str = EscalationState.ACTIVE
    broken: str = ""

    @property
    def run(self) -> Run:
        """The run that moves."""
        return self.due.run


@dataclass
class Walked:
    """Runs that moved, pages made, plans that could not be read."""

    moved: int = 0
    pages: int = 0
    broken: int = 0

    def add(self, other: "Walked") -> None:
        """Sum."""
        self.moved += other.moved
        self.pages += other.pages
        self.broken += other.broken


def escalate_due(*, now: datetime, limit: int = 10_000) -> TickReport:
    """Run every due step once. `now` is the database's clock; the next step waits from now, never from its
    old time, so that a jump of the clock or a pause runs one step and not a burst."""
    total = _advance_batch(now=now, size=min(BATCH, limit))
    if total.moved == BATCH and total.moved < limit:
        total.add(_by_several_hands(now, limit - total.moved))
    left = Escalation.objects.due(now)
    oldest = left.aggregate(at=Min("next_at"))["at"]
    backlog = left[:10_000].count() if oldest else 0
    return TickReport(f"{total.moved} steps, {total.pages} pages", backlog, oldest, rejected=total.broken)


def _by_several_hands(now: datetime, limit: int) -> Walked:
    """Thousands wait: while the database writes what one thread made, the other makes more. Nothing holds them apart
    but the locks of the rows, as with two workers."""
    total, share = Walked(), -(-limit // HANDS)
    with ThreadPoolExecutor(HANDS, thread_name_prefix="walk") as pool:
        for hand in [pool.submit(copy_context().run, _advance_many, now, share) for _ in range(HANDS)]:
            total.add(hand.result())
    return total


def _advance_many(now: datetime, limit: int) -> Walked:
    total = Walked()
    try:
        while total.moved < limit:
            done = _advance_batch(now=now, size=min(BATCH, limit - total.moved))
            if not done.moved:
                break
            total.add(done)
    finally:
        connection.close()  # this thread's own
    return total


@transaction.atomic
def _advance_batch(*, now: datetime, size: int) -> Walked:
    """Up to `size` due runs in one transaction; what this call moved.

    SKIP LOCKED keeps two workers apart; safety lies in the version that the UPDATE asks for.
    """
    moves = _moves(read(now, size), now)
    held = _write_moves(moves)
    kept = [move for move in moves if move.run.pk in held]
    made = [page for move in kept for page in move.pages]
    if made:
        outbox.insert(made)
    _tell(kept, now)
    return Walked(len(kept), len(made), sum(1 for move in kept if move.broken))


# --- Reading --------------------------------------------------------------------------------------------------
class Plans:
    """Stored plans of a batch, each read once; None for one that cannot be read, with the reason in `broken`."""

    def __init__(self) -> None:
        self.read: dict[str, Plan | None] = {}
        self.broken: dict[str, str] = {}

    def of(self, text: str) -> Plan | None:
        """The plan of a stored text."""
        if text not in self.read:
            try:
                self.read[text] = escalation.plan_of(orjson.loads(text))
            except _UNREADABLE as error:
                self.read[text] = None
                self.broken[text] = f"{type(error).__name__}: {error}"[:200]
        return self.read[text]


def _page_states(runs: list[Run]) -> dict[int, Counter[str]]:
    states: dict[int, Counter[str]] = {run.pk: Counter() for run in runs}
    if runs:
        pages = Page.objects.filter(escalation__in=[run.pk for run in runs]).values_list(
            "escalation_id", "state"
        )
        for run_id, state in pages:
            states[run_id or 0][state] += 1
    return states


# --- Deciding -------------------------------------------------------------------------------------------------
def _moves(due: list[Due], now: datetime) -> list[Move]:
    """What each run does now. A plan that cannot be read ends its own run, red, and no other."""
    plans = Plans()
    made = [(one, plans.of(one.plan)) for one in due]
    closing = _page_states([one.run for one, plan in made if plan and one.run.step >= len(plan.steps)])
    moves = []
    for one, plan in made:
        if plan is None:
            moves.append(_set_aside(one, plans.broken[one.plan], now))
        elif one.run.pk in closing:
            moves.append(_close(one, plan, closing[one.run.pk], now))
        else:
            moves.append(_step(one, plan, now))
    return moves


def _step(one: Due, made: Plan, now: datetime) -> Move:
    run = one.run
    stop = escalation.next_stop(made, run.cycle, run.step)
    next_at = now + timedelta(seconds=max(stop.wait_s, 1))  # never two steps of one run in one tick
    here, deadline = made.steps[run.step], delivery.page_deadline(now, next_at)
    targets = [target for target in here.in_round(run.cycle) if target.user_id not in one.given]
    pages = _pages(one, targets, now, deadline, here.urgency)
    return Move(one, pages, stop, next_at)


def _pages(
    one: Due, targets: Sequence[Target], now: datetime, deadline: datetime, urgency: str = ""
) -> list[outbox.Row]:
    if not targets:
        return []
    told = messages.page(one.alert, one.run, messages.url_of(one.alert))
    return [
        outbox.row_for(one.run, one.alert, target, told, deadline=deadline, now=now, urgency=urgency)
        for target in targets
    ]


def _close(one: Due, made: Plan, states: Counter[str], now: datetime) -> Move:
    """The end of a run: done if a page went out, later if one is still on its way, else the fallback, and red."""
    here = Stop(one.run.cycle, one.run.step, 0, closing=True)
    if states[PageState.SENT] or states[PageState.DELIVERED]:
        return Move(one, [], here, now, EscalationState.EXHAUSTED)
    if states[PageState.PENDING] or states[PageState.CLAIMED]:
        return Move(one, [], here, now + timedelta(seconds=escalation.LOOK_AGAIN_S))
    pages = _pages(one, made.fallback, now, now + timedelta(seconds=delivery.NOTICE_LIFE_S))
    return Move(one, pages, here, now, EscalationState.UNREACHED)


def _set_aside(one: Due, error: str, now: datetime) -> Move:
    """A run whose plan cannot be read is over, and the fallback that its policy names today is paged."""
    policy = EscalationPolicy.objects.filter(pk=one.alert.policy_id or 0).first()
    targets = planning.plan_for(policy, now).fallback if policy else ()
    pages = _pages(one, targets, now, now + timedelta(seconds=delivery.NOTICE_LIFE_S))
    here = Stop(one.run.cycle, one.run.step, 0, closing=True)
    return Move(one, pages, here, now, EscalationState.UNREACHED, broken=error)


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
                "escalation.broken", resource=("alerts.Escalation", move.run.pk), category=Category.SYSTEM,
                outcome=Outcome.ERROR, details={"error": move.broken},
            )  # fmt: skip
    incidents.add_entries(
        [
            incidents.Entry(
                move.due.alert.incident_id, "escalation.step", _sentence(move), now,
                "bad" if move.state == EscalationState.UNREACHED else "neutral",
                {"escalation": move.run.pk, "round": move.run.cycle, "step": move.run.step},
            )
            for move in spoken if move.due.alert.incident_id
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
        ways[page["kind"]].append(page["target_label"])
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
