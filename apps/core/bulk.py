"""Many rows in one statement: handed in as one JSON document, so one parameter and one round trip."""

from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection


def rows_of(sql: str, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement over rows handed in as one JSON document: one parameter, one round trip."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(rows).decode()])
        return cursor.fetchall() if cursor.description else []
