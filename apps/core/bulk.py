"""Many rows in one statement: handed in as one JSON document, or copied in PostgreSQL's binary format."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from django.db import connection

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_LENGTH = struct.Struct("!i").pack
_COUNT = struct.Struct("!h").pack


def rows_of(sql: str, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement over rows handed in as one JSON document: one parameter, one round trip.

    The parameter goes beside the statement: written into it, megabytes would be quoted here and parsed there.
    """
    if not rows:
        return []
    return fetched(sql, [orjson.dumps(rows).decode()])


def fetched(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of one statement whose parameters are bound by the server; none if it returns none."""
    with _cursor() as cursor:
        cursor.execute(sql.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[bytes]]) -> None:
    """COPY rows into a table: each value in the binary form of its column's type, none of them NULL."""
    count = _COUNT(len(columns))
    pieces = [_BEGIN]
    for row in rows:
        pieces.append(count)
        for value in row:
            pieces += (_LENGTH(len(value)), value)
    pieces.append(_END)
    sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with _cursor() as cursor, cursor.copy(sql.encode()) as copying:
        copying.write(b"".join(pieces))


@contextmanager
def _cursor() -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """The driver's own on Django's connection, with its checks and its errors."""
    with (
        connection.cursor(),
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
    ):
        yield cursor
