"""Time-ordered ids: 48 bits of milliseconds first, so that a day of a table is one range of its primary key."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def millis(at: datetime) -> int:
    """Whole milliseconds since 1970 of an aware time."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def uuid_floor(at: datetime) -> UUID:
    """The lowest id of that instant: the bound of a partition and of a range query."""
    return UUID(int=millis(at) << 80)


def new_id(at: datetime) -> UUID:
    """A fresh id in UUIDv7 layout (RFC 9562): time, version, 74 random bits."""
    number = int.from_bytes(os.urandom(10)) | (millis(at) << 80)
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    return UUID(int=(number & ~(0x3 << 62)) | (0x2 << 62))


def event_key(project_id: int, event_id: str, occurred_ms: int) -> UUID:
    """Id of an error event: its own milliseconds, then SHA-256 of project and event id, so a retry meets its row."""
    digest = hashlib.sha256(f"{project_id}:{event_id}".encode()).digest()
    return UUID(int=(occurred_ms << 80) | int.from_bytes(digest[:10]))


def timestamp_of(identifier: UUID) -> datetime:
    """The instant, to the millisecond, that an id was made for."""
    return _EPOCH + timedelta(milliseconds=identifier.int >> 80)
