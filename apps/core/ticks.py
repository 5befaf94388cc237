"""Ticks: idempotent pieces of work that are due every few seconds.

Celery wakes them, `manage.py tick` runs them by hand, tests call them. Each takes a lease row by conditional
UPDATE, may run twice, late or never without harm, and writes down how it went. The table of ticks itself stands
in reliability_portal/celery.py.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic, perf_counter, sleep
from typing import Any

import structlog
from django.db import connection, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.core import context
from apps.core.models import TickRun
from apps.core.scrub import scrub_text
from apps.core.text import storable

log = structlog.get_logger("portal.tick")
OWN = "own"
_RENEW_EVERY_S = 1.0
# Work that comes in drops is done in mouthfuls: the price of a transaction is paid ten times a second at most.
_REST_S, _REST_AFTER_FAILURE_S = 0.1, 1.0


@dataclass
class TickReport:
    """What one run says about itself. `pieces`: how much it did; `more`: it stopped before it was through."""

    said: str = ""
    backlog: int = 0
    oldest_at: datetime | None = None
    rejected: int = 0
    pieces: int = 0
    more: bool = False

    def then(self, later: "TickReport") -> "TickReport":
        """Both in one: what was done adds up, what is left is the later one's word."""
        return replace(
            later,
            said=later.said if later.pieces or not self.pieces else self.said,
            rejected=self.rejected + later.rejected,
            pieces=self.pieces + later.pieces,
        )


@dataclass(frozen=True)
class Tick:
    """A row of the table of ticks: name, period, queue, the dotted path of its function, parallel slots.

    The queue OWN means that nobody wakes it: a process for each slot stays with it (see `stay`).
    """

    name: str
    every_s: int
    call: str
    queue: str = "slow"
    slots: int = 1
    lease_s: int = 60

    def function(self) -> Callable[..., TickReport | None]:
        """The room's function: takes `now` and `slot` by keyword."""
        function: Callable[..., TickReport | None] = import_string(self.call)
        return function


@dataclass
class TickTable:
    """All ticks of the house, handed in by the composition root."""

    ticks: dict[str, Tick] = field(default_factory=dict)
    waker: Callable[[Tick], None] | None = None

    def fill(self, ticks: Iterable[Tick]) -> None:
        """Take the table; a second call replaces it."""
        self.ticks = {tick.name: tick for tick in ticks}

    def __getitem__(self, name: str) -> Tick:
        return self.ticks[name]

    def __iter__(self) -> Iterator[Tick]:
        return iter(self.ticks.values())


table = TickTable()


@dataclass(frozen=True)
class Ran:
    """Outcome of one attempt: `ran` is False when another holds the lease."""

    ran: bool
    ok: bool
    report: TickReport
    error: str = ""
    took_ms: int = 0


_NOT_OURS = Ran(ran=False, ok=True, report=TickReport(said="another run holds the lease"))


def database_now() -> datetime:
    """The database's clock, aware, UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
    return at  # type: ignore[no-any-return]


def wake(name: str) -> None:
    """Run a tick soon instead of at its next turn, once the transaction at hand has committed.

    A courtesy that saves seconds: nothing depends on it, so a broker that is away is only noted.
    """

    def ring() -> None:
        try:
            if table.waker is not None:
                table.waker(table[name])
        except Exception as error:
            log.warning("tick not woken", tick=name, error=type(error).__name__)

    transaction.on_commit(ring)


def _take_lease(tick: Tick, slot: int, now: datetime) -> uuid.UUID | None:
    """The lease's token, or None while another run holds it. Time is the database's: hosts may disagree."""
    token = uuid.uuid4()
    TickRun.objects.bulk_create(
        [TickRun(name=tick.name, slot=slot, every_s=tick.every_s)], ignore_conflicts=True
    )
    free = models.Q(lease_until=None) | models.Q(lease_until__lt=models.functions.Now())
    taken = TickRun.objects.filter(free, name=tick.name, slot=slot).update(
        lease_token=token,
        lease_until=models.functions.Now() + timedelta(seconds=tick.lease_s),
        started_at=now,
        every_s=tick.every_s,
    )
    return token if taken else None


def _write_down(tick: Tick, slot: int, token: uuid.UUID, ran: Ran, *, stays: bool = False) -> bool:
    """Keep the outcome, and free the lease or renew it; False for a run that outlived it, which changes nothing."""
    now = timezone.now()
    report = ran.report
    kept: dict[str, Any] = {"last_error": ran.error[:2000]}
    if ran.ok:
        kept = {"succeeded_at": now, "last_error": ""}
    until = models.functions.Now() + timedelta(seconds=tick.lease_s) if stays else None
    held = TickRun.objects.filter(name=tick.name, slot=slot, lease_token=token).update(
        lease_token=token if stays else None,
        lease_until=until,
        finished_at=now,
        duration_ms=ran.took_ms,
        runs=F("runs") + 1,
        failures=F("failures") + (0 if ran.ok else 1),
        said=storable(report.said)[:300],
        backlog=report.backlog,
        oldest_at=report.oldest_at,
        rejected=F("rejected") + report.rejected,
        **kept,
    )
    return bool(held)


def run(name: str, slot: int = 0, now: datetime | None = None) -> Ran:
    """Run one tick once under its lease. An exception is recorded on the row, logged and not raised.

    `now` is the database's clock unless it is given: hosts may disagree, and due columns are compared with it. Names
    and slots that the table does not have raise LookupError: whoever reaches the broker can write a message.
    """
    tick, at = _of_table(name, slot), now or database_now()
    token = _take_lease(tick, slot, at)
    if token is None:
        return _NOT_OURS
    with context.entered(_context(name)):
        ran = _attempt(tick, slot, at)
    _write_down(tick, slot, token, ran)
    return ran


def stay(name: str, slot: int, go_on: Callable[[], bool], *, resting: bool = True) -> Ran:
    """Run one tick again and again under one short lease, which is renewed every second; the last second's outcome.

    For a process of its own. It rests a moment whenever there is nothing to do; if not `resting` it ends then. What a
    run raises is recorded as by `run`; that the ledger itself cannot be written is raised.
    """
    tick = _of_table(name, slot)
    token = _take_lease(tick, slot, database_now())
    ran = _NOT_OURS
    while token and go_on():
        with context.entered(_context(name)):
            ran = _for_a_second(tick, slot, go_on, resting=resting)
        if not _write_down(tick, slot, token, ran, stays=True) or not (resting or ran.report.more):
            break
    if token:
        held = TickRun.objects.filter(name=name, slot=slot, lease_token=token)
        held.update(lease_token=None, lease_until=None)
    return ran


def _for_a_second(tick: Tick, slot: int, go_on: Callable[[], bool], *, resting: bool) -> Ran:
    """Runs in a row as one outcome: what they did is summed, what is left is the last one's word."""
    until, now = monotonic() + _RENEW_EVERY_S, database_now()
    total = TickReport()
    while True:
        ran = _attempt(tick, slot, now)
        total = total.then(ran.report)
        if not ran.ok:
            sleep(_REST_AFTER_FAILURE_S)
        elif not ran.report.more and resting:
            sleep(_REST_S)
        if not ran.ok or not (resting or ran.report.more) or monotonic() >= until or not go_on():
            return replace(ran, report=total)


def _of_table(name: str, slot: int) -> Tick:
    tick = table[name]
    if slot not in range(tick.slots):
        raise LookupError(f"{name} has no slot {slot}")
    return tick


def _context(name: str) -> context.RequestContext:
    return context.RequestContext(actor_id=name, actor_label=f"tick {name}", endpoint=name)


def _attempt(tick: Tick, slot: int, now: datetime) -> Ran:
    begun = perf_counter()
    try:
        report = tick.function()(now=now, slot=slot) or TickReport()
        return Ran(ran=True, ok=True, report=report, took_ms=_ms_since(begun))
    except Exception as error:  # the edge of one unit of work: the next tick must come whatever happened here
        log.exception("tick failed", tick=tick.name, slot=slot)
        if not connection.in_atomic_block:  # the outcome must be written over a connection that works
            connection.close_if_unusable_or_obsolete()
        said = storable(scrub_text(f"{type(error).__name__}: {error}"))
        return Ran(ran=True, ok=False, report=TickReport(), error=said, took_ms=_ms_since(begun))


def _ms_since(begun: float) -> int:
    return int((perf_counter() - begun) * 1000)


def forget_unknown() -> None:
    """Rows of ticks and slots that the table no longer has go: they would be late for ever."""
    known = models.Q()
    for tick in table:
        known |= models.Q(name=tick.name, slot__lt=tick.slots)
    if known:
        TickRun.objects.exclude(known).delete()
