"""Rows of events, copied in: the cheapest way there is, and exact although COPY knows no ON CONFLICT.

What is there already is asked for first. Should another drain store the same event in the same moment, the unique
index refuses the copy, and asking again finds that drain's row.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from django.db import IntegrityError, transaction

from apps.core.bulk import copy_rows, fetched
from apps.core.packed import pack
from apps.errors.counting import Placed

_COLUMNS = (
    "id", "event_id", "occurred_at", "received_at", "project_id", "component_id", "group_id", "severity", "error_type",
    "message", "user_hash", "user_impact", "release", "environment", "endpoint", "device_type", "source", "tags",
    "payload", "backfilled",
)  # fmt: skip
_BIGINT = struct.Struct("!q").pack
_BOOLEAN = (b"\0", b"\1")
_JSONB_VERSION = b"\x01"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Another drain wins such a race once for each batch that it commits meanwhile.
_RACES = 100


def insert_events(placed: Sequence[Placed], backfilled: bool) -> list[Placed]:
    """Store what is not stored yet; those, in the order of their ids."""
    by_id = {p.id: p for p in placed}
    for _ in range(_RACES):
        held = _held(list(by_id))
        fresh = [by_id[key] for key in sorted(by_id) if key not in held]
        try:
            with transaction.atomic():
                copy_rows("errors_errorevent", _COLUMNS, (_row(p, backfilled) for p in fresh))
        except IntegrityError:
            continue
        return fresh
    raise IntegrityError("other drains store the same events over and over")


def _held(keys: list[UUID]) -> set[UUID]:
    asked = "SELECT id FROM errors_errorevent WHERE id = ANY(%s)"
    return {key for (key,) in fetched(asked, [keys])} if keys else set()


def _row(place: Placed, backfilled: bool) -> tuple[bytes, ...]:
    event = place.event
    return (
        place.id.bytes,
        event.event_id.encode(),
        _time(event.occurred_at),
        _time(event.received_at),
        _BIGINT(event.project_id),
        _BIGINT(place.component_id),
        _BIGINT(place.group_id),
        event.severity.encode(),
        event.error_type.encode(),
        event.message.encode(),
        event.user_hash.hex().encode() if event.user_hash else b"",
        _BOOLEAN[event.user_impact],
        event.release[:200].encode(),
        event.environment[:64].encode(),
        event.route[:200].encode(),
        event.device.encode(),
        event.source.encode(),
        _JSONB_VERSION + orjson.dumps(event.tags),
        pack(event.payload),
        _BOOLEAN[backfilled],
    )


def _time(at: datetime) -> bytes:
    """Microseconds since 2000, as PostgreSQL has it."""
    return _BIGINT((at - _EPOCH) // _MICROSECOND)
