"""Ticks of alerts. `now` is the database's clock."""

from datetime import datetime

from apps.alerts import paging, sending
from apps.alerts import watch as watching
from apps.alerts.answering import links as answering_links
from apps.alerts.doors.once import forget_answers
from apps.alerts.doors.taking import forget_occurrences
from apps.alerts.drills import services as drills
from apps.alerts.oncall import handover as oncall_handover
from apps.core.ticks import TickReport


def watch(*, now: datetime, slot: int) -> TickReport:
    """Rules ask their questions; alerts are triggered and resolved; incidents opened by hand get theirs."""
    return watching.watch(now=now)


def escalate(*, now: datetime, slot: int) -> TickReport:
    """Due steps become pages."""
    return paging.escalate_due(now=now)


def deliver(*, now: datetime, slot: int) -> TickReport:
    """Due pages go out."""
    return sending.deliver_due(now=now)


def retain(*, now: datetime, slot: int) -> TickReport:
    """What senders said and links that ended long ago are forgotten."""
    forget_answers(now=now)
    said, ended = forget_occurrences(now=now), answering_links.forget(now=now)
    return TickReport(f"{said} occurrences and {ended} links forgotten")


def handover(*, now: datetime, slot: int) -> TickReport:
    """Whose shift begins is told."""
    return oncall_handover.tell_handovers(now=now)


def drill(*, now: datetime, slot: int) -> TickReport:
    """Weekly drills begin, drills that are over end."""
    return drills.keep_drills(now=now)
