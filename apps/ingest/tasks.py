"""Ticks of ingestion."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.ingest import drain as inbox


def drain(*, now: datetime, slot: int) -> TickReport:
    """Inbox → facts."""
    return inbox.drain(now=now, slot=slot)


def retain(*, now: datetime, slot: int) -> TickReport:
    """Writers that wrote nothing for weeks go."""
    return TickReport(said=f"{inbox.forget_writers(now)} writers forgotten")
