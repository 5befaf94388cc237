"""From the spool into the inbox, each entry once, as soon as PostgreSQL is back.

Whoever can lock a segment moves it: the process that wrote it, a drain, or what runs after a restart. How far it got
is written in the transaction that moves, so whoever dies in between leaves the rest, and only the rest, to the next.
"""

import hashlib
from collections.abc import Callable
from uuid import UUID

import psycopg
import structlog
from django.utils import timezone

from apps.ingest import entries, spool
from apps.ingest.batch import preview
from apps.ingest.spool import Group, Piece, Segment

log = structlog.get_logger("portal.spool")
MOVE_BYTES = 4 * 1024 * 1024
_PLACE = (
    "INSERT INTO ingest_inboxwriter (id) VALUES (%s) "
    "ON CONFLICT (id) DO UPDATE SET seen_at = now() RETURNING done"
)
_ASIDE = (
    "INSERT INTO ingest_setaside (received_at, set_aside_at, project_id, kind, code, field, reason, size, sha256, "
    "preview) VALUES (%(at)s, %(at)s, 0, 'spool', 'damaged', '', %(reason)s, %(size)s, %(sha256)s, %(preview)s)"
)


def move_all(connection: psycopg.Connection, go_on: Callable[[], bool] = lambda: True) -> int:
    """Move every segment that nobody holds; how many entries were moved. Raises psycopg.Error if it cannot now."""
    moved = 0
    for path in spool.segments():
        if not go_on():
            break
        with spool.held(path) as segment:
            if segment is not None:
                moved += _move(connection, segment, go_on)
    return moved


def _move(connection: psycopg.Connection, segment: Segment, go_on: Callable[[], bool]) -> int:
    moved = 0
    while go_on():
        count, is_over = _move_some(connection, segment)
        moved += count
        if is_over:
            segment.remove()
            connection.execute("DELETE FROM ingest_inboxwriter WHERE id = %s", [segment.id])
            log.warning("spool moved into the inbox", segment=segment.path.name, entries=moved)
            break
    return moved


def _move_some(connection: psycopg.Connection, segment: Segment) -> tuple[int, bool]:
    """One transaction: entries moved, and whether that was all."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")  # the file goes when this is done
        begun = _one(connection, _PLACE, segment.id)
        piece = segment.read(begun, MOVE_BYTES)
        groups = [group for group in piece.groups if not is_done(connection, group)]
        copy(connection, [entries.copy_rows(group.received_us, group.entries) for group in groups])
        _set_aside(connection, segment, piece)
        connection.execute("UPDATE ingest_inboxwriter SET done = %s WHERE id = %s", [piece.end, segment.id])
    return sum(len(group.entries) for group in groups), piece.end == begun


def is_done(connection: psycopg.Connection, group: Group) -> bool:
    """Whether a group of which nobody heard is in the inbox. Waits for the transaction that may yet put it there."""
    if not group.writer:
        return False
    asked = "SELECT done FROM ingest_inboxwriter WHERE id = %s FOR SHARE"
    return (_one(connection, asked, UUID(bytes=group.writer)) or 0) >= group.number


def copy(connection: psycopg.Connection, rows: list[bytes]) -> None:
    """Write rows of `entries.copy_rows` into the inbox."""
    if rows:
        with connection.cursor() as cursor, cursor.copy(entries.COPY) as copying:
            copying.write(entries.copy_of(rows))


def _set_aside(connection: psycopg.Connection, segment: Segment, piece: Piece) -> None:
    """What cannot be read any more is told, like everything that cannot be stored."""
    for raw in piece.damaged:
        log.error("a record of the spool is damaged", segment=segment.path.name, size=len(raw))
        told = {
            "at": timezone.now(),
            "reason": "a record of the spool was damaged on disk",
            "size": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
            "preview": preview(raw),
        }
        connection.execute(_ASIDE, told)


def _one(connection: psycopg.Connection, sql: str, key: UUID) -> int:
    """The number that a statement about one writer gives; 0 if it gives none."""
    row = connection.execute(sql, [key]).fetchone()
    return int(row[0]) if row else 0
