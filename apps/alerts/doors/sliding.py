"""A limit over a sliding window: at most so many in any WINDOW_MS. Pure; whole milliseconds of one clock."""

from collections.abc import Sequence

WINDOW_MS = 60_000


def take(recent: Sequence[int], *, now: int, limit: int, window_ms: int = WINDOW_MS) -> tuple[list[int], int]:
    """What is remembered afterwards, and 0 when one more may pass, else whole seconds until one may.

    Times ahead of `now` count, so that a clock set back gives nothing away; they are forgotten after one window.
    """
    kept = [at for at in recent if now - window_ms < at < now + window_ms]
    if len(kept) < limit:
        return [*kept, now], 0
    return kept, -((now - window_ms - kept[-limit]) // 1000)
