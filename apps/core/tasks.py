"""Ticks of the core."""

from datetime import datetime

from apps.core import partitions as tables
from apps.core.ticks import TickReport


def partitions(*, now: datetime, slot: int) -> TickReport:
    """Partitions ahead of now; what retention has passed is dropped."""
    return tables.keep_up(now)
