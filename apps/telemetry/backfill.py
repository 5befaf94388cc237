"""Counters of the past, written as if what they count had been reported then: for imports and for the demo."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from apps.telemetry import count_requests, count_sessions, count_tracked, count_users


@transaction.atomic
def store_requests(*, tallies: count_requests.Tallies, spans: Iterable[count_requests.Span]) -> None:
    """Add requests to the tables of these spans; each tally lies within one of the finest."""
    count_requests.add(tallies, spans)


@transaction.atomic
def store_tracked(*, tallies: count_tracked.Tallies, deeds: dict[count_users.Deed, datetime]) -> None:
    """Add tracked events by hour, and who did what on which day until when."""
    count_tracked.write_hours(tallies)
    count_users.add_deeds(deeds)


@transaction.atomic
def store_sessions(*, hours: count_sessions.Counts, users: dict[count_sessions.UserDay, bool]) -> None:
    """Add sessions by hour, and their users by day with whether one of their sessions crashed."""
    count_sessions.write_hours(hours)
    count_sessions.add_users(users)


@transaction.atomic
def store_active(*, presences: Iterable[count_users.Presence]) -> None:
    """Add who was there."""
    count_users.add_active(presences)
