"""From a batch to the rooms: each takes its facts in the transaction of the drain, in one service call."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Protocol

from django.utils import timezone

from apps.errors import accompanying, storing
from apps.health.services import store_check_ins
from apps.ingest import sampling
from apps.ingest.batch import Batch
from apps.telemetry import storing as telemetry
from apps.telemetry.count_requests import hour_of
from apps.telemetry.reported import ActiveUser

Days = Counter[tuple[date, int]]  # by day of receipt and project


class _Received(Protocol):
    @property
    def received_at(self) -> datetime: ...
    @property
    def project_id(self) -> int: ...


def store(batch: Batch) -> int:
    """Store the facts of a batch; how many events were new. Counts in the batch what was new and what was not."""
    sampling.thin(batch)
    stored = storing.store_batch(events=batch.events)
    _count(batch, "event", _by_day(batch.events), stored.by_day)
    for store_more in (_store_attachments, _store_user_reports, _store_check_ins, _store_telemetry):
        store_more(batch)
    return stored.stored


def _store_attachments(batch: Batch) -> None:
    if batch.attachments:
        done = accompanying.store_attachments(files=batch.attachments)
        _count(batch, "attachment", _by_day(batch.attachments), done.fresh, done.over_limit)


def _store_user_reports(batch: Batch) -> None:
    for item_type in sorted({item_type for item_type, _ in batch.user_reports}):
        reports = [report for named, report in batch.user_reports if named == item_type]
        fresh = accompanying.store_user_reports(reports=reports, now=timezone.now())
        _count(batch, item_type, _by_day(reports), fresh)


def _store_check_ins(batch: Batch) -> None:
    if batch.check_ins:
        done = store_check_ins(check_ins=batch.check_ins)
        _count(batch, "check_in", _by_day(batch.check_ins), done.fresh, done.over_limit)


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
    _count(batch, "tracked", _by_day(batch.tracked), done.tracked)
    _count(batch, "transaction", _by_day(batch.requests), done.requests)


def _by_day(facts: Iterable[_Received]) -> Days:
    return Counter((one.received_at.date(), one.project_id) for one in facts)


def _count(batch: Batch, item_type: str, sent: Days, fresh: Days, over_limit: Days | None = None) -> None:
    """What came, by day and project: stored, beyond what is kept, or a duplicate."""
    over = over_limit or Counter()
    for (day, project_id), n in sent.items():
        new, refused = fresh[day, project_id], over[day, project_id]
        batch.counts[day, project_id, item_type, "stored"] += new
        batch.counts[day, project_id, item_type, "over_limit"] += refused
        batch.counts[day, project_id, item_type, "duplicate"] += n - new - refused
