"""Ticks of ingestion."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.ingest import drain as inbox


def drain(*, now: datetime, slot: int) -> TickReport:
    """Inbox → facts."""
    return inbox.drain(now=now, slot=slot)
