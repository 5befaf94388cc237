"""Ticks of the telemetry room."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.telemetry import retention


def retain(*, now: datetime, slot: int) -> TickReport:
    """Counters past their time."""
    return retention.retain(now)
