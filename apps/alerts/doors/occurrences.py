"""Which of what a sender says is news. Pure; times aware, `now` and `heard` by our own clock.

A failure's occurrences are told apart by when they began. The newest decides, and of one occurrence its end: so
replays end alike in any order. A sender that lost sight of a failure and found it again says that an ended occurrence
fires; it is taken as a replay for REPLAY_S and as news after that, since a page too many is better than one too few.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

# Below Alertmanager's default group_interval of 5 min: it says nothing twice about a group within that time.
REPLAY_S = 240
# The same again within this time changes nothing: every peer of a pair sends it, and a retry sends a group anew.
SAME_S = 60
NEWS, END, OLD = "news", "end", "old"


@dataclass(frozen=True)
class Known:
    """What was last heard. `closed_at`: when its end was heard, or when people resolved it here."""

    starts_at: datetime
    heard_at: datetime
    closed_at: datetime | None = None


def judge(known: Known | None, *, starts_at: datetime, ended: bool, now: datetime) -> str:
    """NEWS to trigger, END to resolve, OLD to leave alone."""
    if known is None:
        return END if ended else NEWS
    if starts_at < known.starts_at:
        return OLD
    if ended:
        return END
    if starts_at > known.starts_at:
        return NEWS
    if known.closed_at is not None:
        return OLD if now - known.closed_at < timedelta(seconds=REPLAY_S) else NEWS
    return OLD if now - known.heard_at < timedelta(seconds=SAME_S) else NEWS


def fingerprint(labels: dict[str, str]) -> str:
    """FNV-1a, 64 bits, over the sorted labels: as Alertmanager names an alert, in 16 hex digits."""
    number = 0xCBF29CE484222325
    for name in sorted(labels):
        for part in (name, labels[name]):
            for byte in part.encode("utf-8", "replace") + b"\xff":
                number = ((number ^ byte) * 0x100000001B3) % 2**64
    return f"{number:016x}"
