"""From a batch to the rooms: each takes its facts in the transaction of the drain, in one service call."""

from collections import Counter
from datetime import date

from apps.errors import storing
from apps.health.services import store_check_ins
from apps.ingest.batch import Batch


def store(batch: Batch) -> int:
    """Store the facts of a batch; how many events were new. Counts in the batch what was new and what was not."""
    stored = storing.store_batch(events=batch.events)
    sent = Counter((event.received_at.date(), event.project_id) for event in batch.events)
    _count(batch, "event", sent, stored.by_day)
    if batch.check_ins:
        _store_check_ins(batch)
    return stored.stored


def _store_check_ins(batch: Batch) -> None:
    done = store_check_ins(check_ins=batch.check_ins)
    sent = Counter((one.received_at.date(), one.project_id) for one in batch.check_ins)
    _count(batch, "check_in", sent - done.over_limit, done.fresh)
    for (day, project_id), n in done.over_limit.items():
        batch.counts[day, project_id, "check_in", "over_limit"] += n


def _count(
    batch: Batch, item_type: str, sent: Counter[tuple[date, int]], fresh: Counter[tuple[date, int]]
) -> None:
    """What came, by day and project, as stored or as a duplicate."""
    for (day, project_id), n in sent.items():
        new = fresh[day, project_id]
        batch.counts[day, project_id, item_type, "stored"] += new
        batch.counts[day, project_id, item_type, "duplicate"] += n - new
