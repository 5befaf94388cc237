"""Which entries a drain works on: locked until the end of its transaction, and held by no other."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from django.utils import timezone

from apps.core.bulk import fetched
from apps.ingest.models import InboxEntry

MOST = 300
# A batch is also bounded in bytes: 300 envelopes of a megabyte each would not fit into a worker.
MOST_PACKED = 8 * 1024 * 1024

_COLUMNS = ("id", "received_at", "project_id", "kind", "coding", "context", "body", "attempts")
_LISTED = ", ".join(_COLUMNS)
# At least one is taken, however large.
_TAKE = f"""
WITH locked AS MATERIALIZED (
  SELECT {_LISTED} FROM ingest_inboxentry WHERE (not_before IS NULL OR not_before <= %s) AND id >= %s
  ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
), sized AS (
  SELECT *, sum(octet_length(body)) OVER (ORDER BY id) AS so_far, row_number() OVER (ORDER BY id) AS place,
    count(*) OVER () AS found FROM locked
)
SELECT found, {_LISTED} FROM sized WHERE so_far <= %s OR place = 1 ORDER BY id
"""  # noqa: S608 - our own columns
_NAMES = (*_COLUMNS, "not_before")


@dataclass
class Taken:
    """Entries in the order in which they came; `more`: others wait."""

    entries: list[InboxEntry] = field(default_factory=list)
    more: bool = False


def take(only: int | None = None) -> Taken:
    """Entries that are due, or one of them; none that another drain holds."""
    limit = MOST if only is None else 1
    rows = fetched(_TAKE, [timezone.now(), only or 0, limit, MOST_PACKED])
    if only is not None:
        rows = [row for row in rows if row[1] == only]
    entries = [_entry(*row[1:]) for row in rows]
    return Taken(entries, bool(rows) and (rows[0][0] > len(rows) or rows[0][0] == limit))


def _entry(*values: Any) -> InboxEntry:
    *front, context, body, attempts = values
    return InboxEntry.from_db("default", _NAMES, (*front, orjson.loads(context), body, attempts, None))


def waiting() -> list[int]:
    """Keys of what is due, as many as a batch has."""
    due = InboxEntry.objects.exclude(not_before__gt=timezone.now()).order_by("pk")
    return list(due.values_list("pk", flat=True)[:MOST])


def done(keys: list[int]) -> None:
    """These became facts: they go with the transaction that stored them."""
    fetched("DELETE FROM ingest_inboxentry WHERE id = ANY(%s)", [keys])
