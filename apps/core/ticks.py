"""Ticks: idempotent pieces of work that are due every few seconds.

Celery wakes them, `manage.py tick` runs them by hand, tests call them. Each takes a lease row by conditional
UPDATE, may run twice, late or never without harm, and writes down how it went. The table of ticks itself
stands in reliability_portal/celery.py.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter

import structlog
from django.db import connection, models
from django.db.models import F
from django.utils import timezone
from django.utils.module_loading import import_string

from apps.core.models import TickRun
from apps.core.scrub import scrub_text

log = structlog.get_logger("portal.tick")


@dataclass
class TickReport:
    """What one run says about itself."""

    said: str = ""
    backlog: int = 0
    oldest_at: datetime | None = None
    rejected: int = 0


@dataclass(frozen=True)
class Tick:
    """A row of the table of ticks: name, period, queue, the dotted path of its function, parallel slots."""

    name: str
    every_s: int
    call: str
    queue: str = "slow"
    slots: int = 1
    lease_s: int = 60

    def function(self) -> Callable[..., TickReport | None]:
        """The room's function: takes `now` and `slot` by keyword."""
        return import_string(self.call)  # type: ignore[no-any-return]


@dataclass
class TickTable:
    """All ticks of the house, handed in by the composition root."""

    ticks: dict[str, Tick] = field(default_factory=dict)

    def fill(self, ticks: Iterable[Tick]) -> None:
        """Take the table; a second call replaces it."""
        self.ticks = {tick.name: tick for tick in ticks}

    def __getitem__(self, name: str) -> Tick:
        return self.ticks[name]

    def __iter__(self) -> Iterable[Tick]:
        return iter(self.ticks.values())


table = TickTable()


@dataclass(frozen=True)
class Ran:
    """Outcome of one attempt: `ran` is False when another holds the lease."""

    ran: bool
    ok: bool
    report: TickReport
    error: str = ""


def database_now() -> datetime:
    """The database's clock, aware, UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
    return at  # type: ignore[no-any-return]


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


def _write_down(tick: Tick, slot: int, token: uuid.UUID, ran: Ran, duration_ms: int) -> None:
    """Free the lease and keep the outcome; a run that outlived its lease changes nothing."""
    now = timezone.now()
    report = ran.report
    kept = {"succeeded_at": now, "last_error": ""} if ran.ok else {"last_error": ran.error[:2000]}
    TickRun.objects.filter(name=tick.name, slot=slot, lease_token=token).update(
        lease_token=None,
        lease_until=None,
        finished_at=now,
        duration_ms=duration_ms,
        runs=F("runs") + 1,
        failures=F("failures") + (0 if ran.ok else 1),
        said=report.said[:300],
        backlog=report.backlog,
        oldest_at=report.oldest_at,
        rejected=F("rejected") + report.rejected,
        **kept,
    )


def run(name: str, slot: int = 0, now: datetime | None = None) -> Ran:
    """Run one tick once under its lease. An exception is recorded on the row, logged and not raised.

    `now` is the database's clock unless it is given: hosts may disagree, and due columns are compared with
    it.
    """
    tick, at = table[name], now or database_now()
    token = _take_lease(tick, slot, at)
    if token is None:
        return Ran(ran=False, ok=True, report=TickReport(said="another run holds the lease"))
    begun = perf_counter()
    try:
        report = tick.function()(now=at, slot=slot) or TickReport()
        ran = Ran(ran=True, ok=True, report=report)
    except Exception as error:  # the edge of one unit of work: the next tick must come whatever happened here
        log.exception("tick failed", tick=name, slot=slot)
        if connection.needs_rollback and not connection.in_atomic_block:
            connection.close()
        ran = Ran(True, False, TickReport(), scrub_text(f"{type(error).__name__}: {error}"))
    _write_down(tick, slot, token, ran, int((perf_counter() - begun) * 1000))
    return ran
