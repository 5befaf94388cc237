"""From inbox entries to events, what is set aside, and counts: everything a drain knows before it writes."""

import hashlib
import hmac
from functools import lru_cache

import msgspec
import structlog
from django.conf import settings

from apps.core.refusal import Refused
from apps.errors.new_event import NewEvent
from apps.ingest import envelope
from apps.ingest.batch import Batch
from apps.ingest.items import READERS, event
from apps.ingest.models import EntryKind, InboxEntry
from apps.ingest.unpack import unpack
from apps.projects.intake import Intake
from apps.projects.queries import RoutingTable
from apps.telemetry.reported import Tracked

log = structlog.get_logger("portal.drain")
OWN_ENCODING = (EntryKind.RECORDS, EntryKind.TRACKED)


@lru_cache(maxsize=1)
def hash_key() -> bytes:
    """Key of the user hashes: derived, so that it is never the signing key itself."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"portal:user-hash", hashlib.sha256)


def decode(entry: InboxEntry, batch: Batch, routing: RoutingTable) -> None:
    """One entry into the batch. The edge of a unit of work: whatever its bytes do, the other entries go on.

    What they make wrong is set aside; what is wrong with us goes to `batch.failed`, for the entry to be tried again.
    """
    own, raw = Batch(), bytes(entry.body)
    try:
        if not routing.has(entry.project_id):
            raise Refused("project_gone", "its project was deleted", "project")
        if entry.kind not in OWN_ENCODING:  # those are our own encoding, as long as the door made them
            limit = (
                settings.EVENT_MAX_BYTES if entry.kind == EntryKind.STORE else settings.ENVELOPE_MAX_UNPACKED
            )
            raw = unpack(raw, entry.coding, max_bytes=limit)
        _read(entry, raw, own, routing)
    except Refused as refused:
        own = Batch()
        own.set_aside(entry, EntryKind(entry.kind).name.lower(), raw, refused)
    except Exception as error:
        log.exception("an entry could not be decoded", entry=entry.pk)
        batch.failed.append((entry, error))
        return
    batch.unpacked += len(raw)
    batch.add(own)


def _read(entry: InboxEntry, body: bytes, own: Batch, routing: RoutingTable) -> None:
    if entry.kind == EntryKind.RECORDS:
        # Validated, scrubbed and classified at the door, which answers for each record by name.
        own.events += msgspec.msgpack.decode(body, type=list[NewEvent])
    elif entry.kind == EntryKind.TRACKED:
        own.tracked += msgspec.msgpack.decode(body, type=list[Tracked])
    elif entry.kind == EntryKind.STORE:
        own.events.append(event.read_body(body, _intake(entry, routing)))
    else:
        _read_envelope(entry, body, own, _intake(entry, routing))


def _read_envelope(entry: InboxEntry, body: bytes, own: Batch, intake: Intake) -> None:
    """Each item by its type's reader; a bad one is set aside alone, types without a reader are counted."""
    split = envelope.split(body, item_bytes={**envelope.ITEM_BYTES, "event": settings.EVENT_MAX_BYTES})
    for item_type, n in split.dropped.items():
        own.count(entry, item_type, "too_large", n)
    for item in split.items:
        reader = READERS.get(item.type)
        if reader is None:
            own.count(entry, item.type, "counted")
            continue
        try:
            reader(item, entry, intake, own)
        except Refused as refused:
            own.set_aside(entry, item.type, item.payload, refused)


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
