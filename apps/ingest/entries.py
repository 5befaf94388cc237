"""One accepted request on its way: what the door hands in, and how it becomes a row of the inbox."""

import struct
import time
from collections.abc import Iterable

import msgspec

COPY = (
    b"COPY ingest_inboxentry (received_at, project_id, kind, coding, context, body, attempts) "
    b"FROM STDIN (FORMAT BINARY)"
)
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
# Seven fields, each behind its length: the time, the project and the kind, and the length of the coding.
_FRONT = struct.Struct("!hiqiqihi")
_LENGTH = struct.Struct("!i")
_JSONB_VERSION = b"\x01"
_NO_ATTEMPTS = b"\0\0\0\x02\0\0"
_MICROSECONDS_TO_2000 = 946_684_800_000_000


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One accepted request: `body` as received, packed in `coding`; `context` is a JSON object."""

    project_id: int
    kind: int
    body: bytes
    coding: str = ""
    context: bytes = b"{}"


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def copy_rows(received_us: int, entries: Iterable[Entry]) -> bytes:
    """Rows of the inbox in PostgreSQL's binary format, without what begins and ends it."""
    at = received_us - _MICROSECONDS_TO_2000
    pieces: list[bytes] = []
    for entry in entries:
        coding = entry.coding.encode()
        pieces += (
            _FRONT.pack(7, 8, at, 8, entry.project_id, 2, entry.kind, len(coding)), coding,
            _LENGTH.pack(len(entry.context) + 1), _JSONB_VERSION, entry.context,
            _LENGTH.pack(len(entry.body)), entry.body, _NO_ATTEMPTS,
        )  # fmt: skip
    return b"".join(pieces)


def copy_of(rows: Iterable[bytes]) -> bytes:
    """A whole COPY of rows from `copy_rows`."""
    return b"".join((_BEGIN, *rows, _END))
