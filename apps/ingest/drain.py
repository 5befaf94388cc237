"""From the inbox to facts: take some entries, decode, store, delete them, all in one transaction.

Exactly once in effect: a drain that dies leaves its entries waiting, and one that committed has deleted them. What
cannot be stored is set aside with its reason, the good items of the same envelope are stored, and an entry that makes
the whole batch fail is found by taking the batch apart.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.utils import timezone

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.core.scrub import scrub_text
from apps.core.ticks import TickReport
from apps.errors import normalise, storing
from apps.errors.new_event import Intake, NewEvent
from apps.ingest import envelope
from apps.ingest.models import EntryKind, InboxEntry, SetAside
from apps.ingest.unpack import unpack
from apps.projects.queries import RoutingTable

log = structlog.get_logger("portal.drain")
BATCH = 300
WORKS_FOR_S = 20
MOST_ATTEMPTS = 3
PREVIEW_BYTES = 200
# Item types that SDKs send and that have no room here yet: accepted and counted.
_EVENTS = frozenset({"event"})


@dataclass
class Batch:
    """What some entries came to, before any of it is written."""

    events: list[NewEvent] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)
    counts: Counter[tuple[Any, int, str, str]] = field(default_factory=Counter)

    def count(self, entry: InboxEntry, item_type: str, outcome: str, n: int = 1) -> None:
        """Nothing disappears uncounted."""
        self.counts[entry.received_at.date(), entry.project_id, item_type[:32], outcome] += n

    def set_aside(self, entry: InboxEntry, item_type: str, raw: bytes, refused: Refused) -> None:
        """Keep why, how large, its digest, and its first bytes scrubbed."""
        self.count(entry, item_type, "set_aside")
        preview = scrub_text(bytes(raw[:PREVIEW_BYTES]).decode("utf-8", "replace").replace("\x00", "�"))
        self.aside.append(
            SetAside(
                received_at=entry.received_at,
                project_id=entry.project_id,
                kind=item_type[:32],
                code=refused.code,
                field=refused.field[:200],
                reason=refused.message,
                size=len(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
                preview=preview,
            )
        )


def hash_key() -> bytes:
    """Key of the user hashes: derived, so that it is never the signing key itself."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"portal:user-hash", hashlib.sha256)


def drain(*, now: datetime, slot: int) -> TickReport:
    """The tick: work until the inbox is empty or the time is up; says what is left."""
    until, stored, aside = monotonic() + WORKS_FOR_S, 0, 0
    routing = RoutingTable()
    while monotonic() < until:
        taken, done = _drain_some(routing)
        stored, aside = stored + done.stored, aside + done.aside
        if not taken:
            break
    backlog, oldest = _left()
    return TickReport(said=f"{stored} events stored", backlog=backlog, oldest_at=oldest, rejected=aside)


@dataclass
class Drained:
    """Figures of one transaction."""

    stored: int = 0
    aside: int = 0


def _drain_some(routing: RoutingTable) -> tuple[int, Drained]:
    """One transaction over up to BATCH entries; after a failure the same entries one by one."""
    try:
        with transaction.atomic():
            entries = _take(BATCH)
            return len(entries), _settle(entries, routing)
    except (DataError, IntegrityError, DatabaseError) as error:
        if not _is_about_data(error):
            raise
        log.warning("a batch failed and is taken apart", error=type(error).__name__)
        return _one_by_one(routing)


def _is_about_data(error: DatabaseError) -> bool:
    """A value that the database refuses, rather than a database that is away."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, DataError | IntegrityError) or state.startswith(("22", "23", "54"))


def _one_by_one(routing: RoutingTable) -> tuple[int, Drained]:
    total = Drained()
    ids = list(_waiting().values_list("pk", flat=True)[:BATCH])
    for pk in ids:
        try:
            with transaction.atomic():
                done = _settle(_take(1, only=pk), routing)
            total = Drained(total.stored + done.stored, total.aside + done.aside)
        except DatabaseError as error:
            if not _is_about_data(error):
                raise
            total.aside += _give_up(pk, error)
    return len(ids), total


def _give_up(pk: int, error: Exception) -> int:
    """An entry that the database refuses: tried again later, after MOST_ATTEMPTS set aside. 1 if it was."""
    with transaction.atomic():
        entry = InboxEntry.objects.select_for_update().filter(pk=pk).first()
        if entry is None:
            return 0
        if entry.attempts + 1 < MOST_ATTEMPTS:
            wait = timedelta(seconds=10 * (entry.attempts + 1))
            InboxEntry.objects.filter(pk=pk).update(
                attempts=entry.attempts + 1, not_before=timezone.now() + wait
            )
            return 0
        batch = Batch()
        said = scrub_text(f"{type(error).__name__}: {error}".splitlines()[0])[:500]
        batch.set_aside(entry, EntryKind(entry.kind).label, bytes(entry.body), Refused("not_stored", said))
        _write(batch)
        entry.delete()
    return 1


def _waiting() -> Any:
    now = timezone.now()
    return InboxEntry.objects.exclude(not_before__gt=now).order_by("pk")


def _take(most: int, only: int | None = None) -> list[InboxEntry]:
    """Entries that no other drain holds, locked until the end of the transaction."""
    rows = _waiting().select_for_update(skip_locked=True)
    return list(rows.filter(pk=only) if only is not None else rows[:most])


def _settle(entries: list[InboxEntry], routing: RoutingTable) -> Drained:
    """Decode, store, count, delete."""
    if not entries:
        return Drained()
    batch = Batch()
    for entry in entries:
        _decode(entry, batch, routing)
    stored = storing.store_batch(events=batch.events)
    _count_stored(batch, stored)
    _write(batch)
    InboxEntry.objects.filter(pk__in=[entry.pk for entry in entries]).delete()
    return Drained(stored.stored, len(batch.aside))


def _decode(entry: InboxEntry, batch: Batch, routing: RoutingTable) -> None:
    """One entry into the batch. The edge of a unit of work: whatever its bytes do, only they are set aside."""
    raw = bytes(entry.body)
    label = EntryKind(entry.kind).name.lower()
    try:
        body = unpack(raw, entry.coding, max_bytes=settings.ENVELOPE_MAX_UNPACKED)
        for event in _events(entry, body, batch, routing):
            batch.events.append(event)
    except Refused as refused:
        batch.set_aside(entry, label, raw, refused)
    except Exception as error:
        log.exception("an entry could not be decoded", entry=entry.pk)
        batch.set_aside(entry, label, raw, Refused("internal", f"{type(error).__name__} while decoding"))


def _events(entry: InboxEntry, body: bytes, batch: Batch, routing: RoutingTable) -> Iterator[NewEvent]:
    intake = _intake(entry, routing)
    if entry.kind == EntryKind.ENVELOPE:
        yield from _of_envelope(entry, body, batch, intake)
    elif entry.kind == EntryKind.STORE:
        yield normalise.from_sentry(
            jsontext.decode(body, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None), intake
        )
    else:
        # Validated, scrubbed and classified at the door, which answers for each record by name.
        yield from msgspec.msgpack.decode(body, type=list[NewEvent])


def _of_envelope(entry: InboxEntry, body: bytes, batch: Batch, intake: Intake) -> Iterator[NewEvent]:
    """Event items; a bad one is set aside alone, other types are counted."""
    split = envelope.split(body)
    for item_type, n in split.dropped.items():
        batch.count(entry, item_type, "too_large", n)
    for item in split.items:
        if item.type not in _EVENTS:
            batch.count(entry, item.type, "counted")
            continue
        try:
            decoded = jsontext.decode(bytes(item.payload), max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
            yield normalise.from_sentry(decoded, intake)
        except Refused as refused:
            batch.set_aside(entry, item.type, bytes(item.payload), refused)


def _intake(entry: InboxEntry, routing: RoutingTable) -> Intake:
    rules, default = routing.of(entry.project_id)
    return Intake(
        project_id=entry.project_id,
        received_at=entry.received_at,
        hash_key=hash_key(),
        event_id=str(entry.context.get("event_id") or ""),
        source=str(entry.context.get("source") or "sentry"),
        rules=rules,
        default_component=default,
    )


def _count_stored(batch: Batch, stored: storing.Stored) -> None:
    for event in batch.events:
        batch.counts[event.received_at.date(), event.project_id, "event", "taken"] += 1
    if stored.duplicates and batch.events:
        first = batch.events[0]
        batch.counts[first.received_at.date(), first.project_id, "event", "duplicate"] += stored.duplicates


def _write(batch: Batch) -> None:
    SetAside.objects.bulk_create(batch.aside)
    rows = [
        {"day": day.isoformat(), "project_id": project, "item_type": kind, "outcome": outcome, "n": n}
        for (day, project, kind, outcome), n in sorted(batch.counts.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ingest_itemcount (day, project_id, item_type, outcome, n) SELECT * FROM "
            "jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, item_type text, outcome text, n bigint) "
            "ON CONFLICT (day, project_id, item_type, outcome) DO UPDATE SET n = ingest_itemcount.n + excluded.n",
            [orjson.dumps(rows).decode()],
        )


def _left() -> tuple[int, datetime | None]:
    """How many entries wait (counted up to 10,000) and since when the oldest does."""
    oldest = InboxEntry.objects.order_by("pk").values_list("received_at", flat=True).first()
    return InboxEntry.objects.order_by()[:10_000].count() if oldest else 0, oldest
