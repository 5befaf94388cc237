"""Ticks of the errors room."""

from datetime import datetime

from apps.core.ticks import TickReport
from apps.errors import accompanying, retention, storing


def retain(*, now: datetime, slot: int) -> TickReport:
    """What is kept no longer goes, in small steps."""
    storing.forget_seen(now=now)
    return retention.retain(now)


def link(*, now: datetime, slot: int) -> TickReport:
    """What came before its event, with its group as soon as that is known."""
    return TickReport(said=f"{accompanying.link_user_reports(now=now)} reports found their group")
