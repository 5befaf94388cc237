"""Ticks of the health room."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.health import services


def retain(*, now: datetime, slot: int) -> TickReport:
    """Runs of reporting jobs that are long over go."""
    return TickReport(said=f"{services.forget_check_ins(now=now)} runs dropped")
