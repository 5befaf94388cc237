"""How much each key is used, by day: a cheap count beside the events, for whoever rotates keys."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

_ADD = (
    "INSERT INTO projects_keyday (key_id, day, requests) SELECT t.* FROM "
    "jsonb_to_recordset(%s::jsonb) AS t(key_id bigint, day date, n bigint) "
    "JOIN projects_projectkey k ON k.id = t.key_id "
    "ON CONFLICT (key_id, day) DO UPDATE SET requests = projects_keyday.requests + excluded.requests"
)


def add(cursor: Any, requests: Mapping[tuple[int, date], int]) -> None:
    """Add requests by (key id, day) over a cursor of Django's or of the driver; keys that are gone are left out."""
    rows = [{"key_id": key, "day": day.isoformat(), "n": n} for (key, day), n in sorted(requests.items())]
    if rows:
        cursor.execute(_ADD, [orjson.dumps(rows).decode()])
