"""The counters of what arrived: written by the drain with the facts, and by the door for what it refused."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

# Day, project, item type, outcome.
Key = tuple[date, int, str, str]
_ADD = (
    "INSERT INTO ingest_itemcount (day, project_id, item_type, outcome, n) SELECT * FROM "
    "jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, item_type text, outcome text, n bigint) "
    "ON CONFLICT (day, project_id, item_type, outcome) DO UPDATE SET n = ingest_itemcount.n + excluded.n"
)


def add(cursor: Any, counts: Mapping[Key, int]) -> None:
    """Add to the counters over a cursor of Django's or of the driver; sorted, so that no two wait in a ring."""
    rows = [
        {"day": day.isoformat(), "project_id": project, "item_type": kind, "outcome": outcome, "n": n}
        for (day, project, kind, outcome), n in sorted(counts.items())
        if n
    ]
    if rows:
        cursor.execute(_ADD, [orjson.dumps(rows).decode()])
