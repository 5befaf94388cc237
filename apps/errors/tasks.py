"""Ticks of the errors room."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.errors import retention, storing


def retain(*, now: datetime, slot: int) -> TickReport:
    """What is kept no longer goes, in small steps."""
    storing.forget_seen(now=now)
    return retention.retain(now)
