"""Spike protection in the drain: events of a flood are stored and counted as ever, most of them without their payload.

Each drain judges by what it took itself since it began, so several of them together keep up to so many times the limit.
"""

from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache

import structlog
from django.conf import settings
from django.db import transaction

from apps.errors import queries
from apps.errors.new_event import NewEvent
from apps.errors.sampled import instead_of_payload
from apps.ingest.batch import Batch
from apps.ingest.decoding import hash_key
from apps.ingest.spike import Arrival, Flood, Rules, usual_per_minute

log = structlog.get_logger("portal.drain")
DAYS_BACK = 7
_flood = Flood()


def thin(batch: Batch) -> None:
    """Take the payload from events that a flood does not keep it of; what was taken is counted beside the events."""
    if not (settings.SPIKE_PROTECTION and batch.events):
        return
    arrivals = [_arrival(event) for event in batch.events]
    judged = _flood.judge(arrivals, _rules(), _usual, hash_key())
    taken = [event for event, kept in zip(batch.events, judged, strict=True) if not kept]
    for event in taken:
        event.payload = instead_of_payload(event.received_at)
    lost = Counter((event.received_at.date(), event.project_id) for event in taken)
    for (day, project_id), n in lost.items():
        batch.counts[day, project_id, "payload", "sampled"] += n
    transaction.on_commit(lambda: _flood.count(arrivals))


def forget() -> None:
    """Back to having seen nothing."""
    global _flood  # one for the process, whose drains share it
    _flood = Flood()
    _usual_in.cache_clear()


def _arrival(event: NewEvent) -> Arrival:
    minute = int(event.received_at.timestamp()) // 60
    return Arrival(event.project_id, event.fingerprint, minute, event.event_id)


def _rules() -> Rules:
    return Rules(
        factor=settings.SPIKE_FACTOR,
        floor=settings.SPIKE_FLOOR,
        group=settings.SPIKE_GROUP,
        keep_first=settings.SPIKE_KEEP_FIRST,
        keep_one_in=settings.SPIKE_KEEP_ONE_IN,
    )


def _usual(project_id: int, minute: int) -> float:
    return _usual_in(project_id, datetime.fromtimestamp(minute // 60 * 3600, UTC))


@lru_cache(maxsize=4096)
def _usual_in(project_id: int, hour: datetime) -> float:
    """Asked once an hour, and only of a project that has just passed the floor."""
    usual = usual_per_minute(queries.same_hour_on_days_before(project_id, hour, DAYS_BACK))
    log.warning("more errors than the floor of spike protection", project=project_id, usual_per_minute=usual)
    return usual
