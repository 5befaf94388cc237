"""From a batch to the rooms: each takes its facts in the transaction of the drain, in one service call."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from apps.errors import storing
from apps.health.services import store_check_ins
from apps.ingest.batch import Batch
from apps.telemetry import storing as telemetry
from apps.telemetry.count_requests import hour_of
from apps.telemetry.reported import ActiveUser


def store(batch: Batch) -> int:
    """Store the facts of a batch; how many events were new. Counts in the batch what was new and what was not."""
    stored = storing.store_batch(events=batch.events)
    _count(batch, "event", _days(batch.events), stored.by_day)
    if batch.check_ins:
        _store_check_ins(batch)
    _store_telemetry(batch)
    return stored.stored


def _store_check_ins(batch: Batch) -> None:
    done = store_check_ins(check_ins=batch.check_ins)
    _count(batch, "check_in", _days(batch.check_ins) - done.over_limit, done.fresh)
    for (day, project_id), n in done.over_limit.items():
        batch.counts[day, project_id, "check_in", "over_limit"] += n


def _store_telemetry(batch: Batch) -> None:
    """Whoever met an error was there as well."""
    active = {
        ActiveUser(event.project_id, hour_of(event.occurred_at), event.user_hash)
        for event in batch.events
        if event.user_hash
    }
    if not (active or batch.tracked or batch.requests or batch.session_updates or batch.session_counts):
        return
    done = telemetry.store_batch(
        tracked=batch.tracked,
        requests=batch.requests,
        updates=batch.session_updates,
        counts=batch.session_counts,
        active=active,
    )
    _count(batch, "tracked", _days(batch.tracked), done.tracked)
    _count(batch, "transaction", _days(batch.requests), done.requests)


def _days(reports: Sequence[Any]) -> Counter[tuple[date, int]]:
    return Counter((report.received_at.date(), report.project_id) for report in reports)


def _count(
    batch: Batch, item_type: str, sent: Counter[tuple[date, int]], fresh: Counter[tuple[date, int]]
) -> None:
    """What came, by day and project, as stored or as a duplicate."""
    for (day, project_id), n in sent.items():
        new = fresh[day, project_id]
        batch.counts[day, project_id, item_type, "stored"] += new
        batch.counts[day, project_id, item_type, "duplicate"] += n - new
