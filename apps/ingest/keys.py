"""Which keys open the door: asked of the database every few seconds at most, remembered while it is away."""

import time
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from apps.projects.models import ProjectKey

log = structlog.get_logger("portal.keys")
FRESH_S = 5.0
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the door needs to know of a usable key."""

    project_id: int
    allowed_origins: tuple[str, ...] = ()


_remembered: dict[str, tuple[float, KeyFacts | None]] = {}


def find(public_key: str) -> KeyFacts | None:
    """The facts of a usable key, None for any other. DatabaseError if the database is away and the key unknown."""
    held = _remembered.get(public_key)
    if held and time.monotonic() - held[0] < FRESH_S:
        return held[1]
    try:
        facts = _ask(public_key)
    except DatabaseError:
        if held is None:
            raise
        log.warning("database away: the last known keys are used")
        facts = held[1]
    if len(_remembered) >= MOST_REMEMBERED:  # strangers trying keys must not fill the memory
        _remembered.clear()
    _remembered[public_key] = (time.monotonic(), facts)
    return facts


def forget() -> None:
    """Ask again next time; for tests, and after a key was switched off in this process."""
    _remembered.clear()


def _ask(public_key: str) -> KeyFacts | None:
    try:
        row = (
            ProjectKey.objects.usable(timezone.now())
            .filter(public_key=public_key)
            .values_list("project_id", "allowed_origins")
            .first()
        )
    finally:
        if not connection.in_atomic_block:
            connection.close()  # the door is outside of Django's request cycle: give the connection back
    return KeyFacts(row[0], tuple(row[1])) if row else None
