"""What is wrong with the pager, from figures alone. Pure: the clock is handed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

OVERDUE_S = 60
REPORT_EVERY_S = 900
PING_EVERY_S = 60
# Nobody looked for so long: the portal was off, and what waits since then is given its minute.
HOLE_S = 600


@dataclass(frozen=True)
class Seen:
    """What the database says: since when the oldest escalation and the oldest page wait, when the ticks last
    succeeded; None for nothing waiting, or never."""

    escalation_due_at: datetime | None
    page_due_at: datetime | None
    escalated_at: datetime | None
    delivered_at: datetime | None
    watched_at: datetime | None


def wrong(seen: Seen, watching_since: datetime, now: datetime) -> list[str]:
    """Sentences; empty when all is well. Nothing counts from before `watching_since`, when nobody could see it."""
    found = [
        _late("The oldest due escalation waits", seen.escalation_due_at, watching_since, now),
        _late("The oldest due page is not sent", seen.page_due_at, watching_since, now),
        _late("Escalations are not walked", seen.escalated_at or watching_since, watching_since, now),
        _late("Pages are not sent", seen.delivered_at or watching_since, watching_since, now),
        _late("Rules are not asked", seen.watched_at or watching_since, watching_since, now),
    ]
    return [sentence for sentence in found if sentence]


def _late(what: str, since: datetime | None, watching_since: datetime, now: datetime) -> str:
    if since is None or now - max(since, watching_since) <= timedelta(seconds=OVERDUE_S):
        return ""
    return f"{what} since {since:%Y-%m-%d %H:%M:%S} UTC ({int((now - since).total_seconds())} s)."


def watching_since(looked_at: datetime | None, since: datetime | None, now: datetime) -> datetime:
    """From when on somebody has looked without a hole."""
    if looked_at is None or since is None or now - looked_at > timedelta(seconds=HOLE_S):
        return now
    return since


def progressed(seen: Seen, pinged_at: datetime | None, now: datetime) -> bool:
    """Whether escalating and delivering both succeeded within the last minute and since the last ping."""
    fresh = now - timedelta(seconds=OVERDUE_S)
    floor = max(fresh, pinged_at) if pinged_at else fresh
    return all(at is not None and at > floor for at in (seen.escalated_at, seen.delivered_at))
