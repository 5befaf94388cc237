"""Ticks of the core."""

from datetime import datetime

from apps.core import partitions as tables
from apps.core.ticks import TickReport, forget_unknown


def partitions(*, now: datetime, slot: int) -> TickReport:
    """Partitions ahead of now; what retention has passed is dropped, rows of ticks that are no more likewise."""
    forget_unknown()
    return tables.keep_up(now)
