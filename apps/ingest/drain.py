"""From the inbox to facts: take some entries, decode, store, delete them, all in one transaction.

Exactly once in effect: a drain that dies leaves its entries waiting, and one that committed has deleted them. What
cannot be stored is set aside with its reason, the good items of the same envelope are stored, and an entry that makes
the whole batch fail is found by taking the batch apart.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone

from apps.core.refusal import Refused
from apps.core.scrub import scrub_text
from apps.core.ticks import TickReport
from apps.ingest import counts, facts, moving, spool, taking
from apps.ingest.batch import Batch
from apps.ingest.decoding import decode
from apps.ingest.models import EntryKind, InboxEntry, InboxWriter, SetAside
from apps.ingest.taking import Taken
from apps.projects.queries import RoutingTable

log = structlog.get_logger("portal.drain")
MOST_UNPACKED = 32 * 1024 * 1024
# Then the tick renews its lease and says how it is going.
WORKS_FOR_S = 1.0
MOVES_FOR_S = 0.3
WRITERS_KEPT_FOR = timedelta(days=30)
# What the database refuses it will refuse again; what we stumble over may be mended within hours, so that waits.
ATTEMPTS_AT_DATA = 3
ATTEMPTS_AT_BUGS = 24
FIRST_WAIT_S, LONGEST_WAIT_S = 10, 3600


def drain(*, now: datetime, slot: int) -> TickReport:
    """The tick: work until the inbox is empty or a second is over; says what is left."""
    until, total = monotonic() + WORKS_FOR_S, Drained()
    _empty_spool(monotonic() + MOVES_FOR_S)
    routing = RoutingTable()
    while True:
        total.add(_drain_some(routing))
        if not total.more or monotonic() >= until:
            break
    backlog, oldest = _left()
    return TickReport(
        said=f"{total.stored} events stored", backlog=backlog, oldest_at=oldest, rejected=total.aside,
        pieces=total.taken, more=total.more,
    )  # fmt: skip


def _empty_spool(until: float) -> None:
    """What was taken while the database was away, and whoever took it does not hold any more."""
    if spool.segments():
        connection.ensure_connection()
        with connection.wrap_database_errors:
            moving.move_all(connection.connection, lambda: monotonic() < until)


def forget_writers(now: datetime) -> int:
    """Rows of connections and segments that are no more; what is in doubt is decided long before."""
    return InboxWriter.objects.filter(seen_at__lt=now - WRITERS_KEPT_FOR).delete()[0]


@dataclass
class Drained:
    """Figures of one or more transactions: entries taken, events stored, payloads set aside; whether more waits."""

    taken: int = 0
    stored: int = 0
    aside: int = 0
    more: bool = False

    def add(self, other: "Drained") -> None:
        """Sum; whether there is more is the later one's word."""
        self.more = other.more
        self.taken += other.taken
        self.stored += other.stored
        self.aside += other.aside


@contextmanager
def _without_collector() -> Iterator[None]:
    """Decoding makes many objects and no rings of them: looking for some takes a seventh of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _drain_some(routing: RoutingTable) -> Drained:
    """One transaction over up to BATCH entries; if one of them makes it fail, the same entries one by one."""
    try:
        with _without_collector(), transaction.atomic():
            return _settle(taking.take(), routing)
    except Exception as error:
        if _concerns_all(error):
            raise
        log.warning("a batch failed and is taken apart", error=type(error).__name__)
    return _one_by_one(routing)


def _concerns_all(error: Exception) -> bool:
    """The database is away, busy or of another version: no entry is to blame, and all wait for the next tick."""
    if not isinstance(error, Error):
        return False
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError):
        return not state.startswith("54") and state != "57014"  # a limit of the program, a statement too slow
    return state.startswith("42")


def _one_by_one(routing: RoutingTable) -> Drained:
    total = Drained(more=True)
    for pk in taking.waiting():
        total.taken += 1
        try:
            with transaction.atomic():
                done = _settle(taking.take(only=pk), routing)
            total.stored, total.aside = total.stored + done.stored, total.aside + done.aside
        except Exception as error:  # the edge of one entry
            if _concerns_all(error):
                raise
            log.warning("an entry failed", entry=pk, error=type(error).__name__)
            total.aside += _postpone(pk, error)
    return total


@transaction.atomic
def _postpone(pk: int, error: Exception) -> int:
    """Try this entry again later, after the last attempt set it aside; 1 if it was."""
    entry = InboxEntry.objects.select_for_update().filter(pk=pk).first()
    if entry is None:
        return 0
    refused_by_data = isinstance(error, DataError | IntegrityError)
    attempts = entry.attempts + 1
    if attempts < (ATTEMPTS_AT_DATA if refused_by_data else ATTEMPTS_AT_BUGS):
        wait = timedelta(seconds=min(FIRST_WAIT_S * 2**entry.attempts, LONGEST_WAIT_S))
        InboxEntry.objects.filter(pk=pk).update(attempts=attempts, not_before=timezone.now() + wait)
        return 0
    said = f"{type(error).__name__}: {error}".splitlines()[0] if refused_by_data else type(error).__name__
    batch = Batch()
    refused = Refused("not_stored", scrub_text(said)[:500])
    batch.set_aside(entry, EntryKind(entry.kind).name.lower(), bytes(entry.body), refused)
    _write(batch)
    entry.delete()
    return 1


def _settle(found: Taken, routing: RoutingTable) -> Drained:
    """Decode, store, count, delete. Entries beyond MOST_UNPACKED are left for the next transaction."""
    if not found.entries:
        return Drained()
    routing.refresh_projects({entry.project_id for entry in found.entries})
    batch, taken = Batch(), []
    for entry in found.entries:
        if batch.unpacked > MOST_UNPACKED:
            break
        decode(entry, batch, routing)
        taken.append(entry.pk)
    stored = facts.store(batch)
    aside = len(batch.aside)
    _write(batch)
    for entry, error in batch.failed:
        aside += _postpone(entry.pk, error)
    postponed = {entry.pk for entry, _ in batch.failed}
    taking.done([pk for pk in taken if pk not in postponed])
    return Drained(len(taken), stored, aside, more=found.more or len(taken) < len(found.entries))


def _write(batch: Batch) -> None:
    SetAside.objects.bulk_create(batch.aside)
    with connection.cursor() as cursor:
        counts.add(cursor, batch.counts)


def _left() -> tuple[int, datetime | None]:
    """How many entries wait in the inbox (counted up to 10,000) and in the spool, and since when the oldest does."""
    oldest = InboxEntry.objects.order_by("pk").values_list("received_at", flat=True).first()
    in_inbox = InboxEntry.objects.order_by()[:10_000].count() if oldest else 0
    return in_inbox + spool.waiting(), oldest
