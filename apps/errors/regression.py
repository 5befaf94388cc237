"""When a resolved group counts as regressed. Pure."""

import re
from datetime import datetime
from typing import Protocol

_PARTS = re.compile(r"\d+|[A-Za-z]+")


class Seen(Protocol):
    """What is asked of an event."""

    occurred_at: datetime
    release: str


def release_order(release: str) -> tuple[tuple[int, int, str], ...]:
    """A sortable form of a release name: 4.10 after 4.9, package names before the @ left out.

    A pre-release word sorts below a number, as in 1.0rc1 < 1.0.1.
    """
    version = release.rpartition("@")[2]
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p.lower()) for p in _PARTS.findall(version)[:12])


def regressed(resolved_at: datetime, resolved_in_release: str, event: Seen) -> bool:
    """Whether this event reopens a group that was resolved then, last seen in that release.

    Events from before the resolution never do. With releases on both sides only a newer release does: machines that
    still run the old one say nothing about the fix. Without releases every later event does.
    """
    if event.occurred_at <= resolved_at:
        return False
    if not resolved_in_release or not event.release:
        return True
    return release_order(event.release) > release_order(resolved_in_release)
