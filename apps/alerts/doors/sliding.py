"""A limit over a sliding window: at most so many in any WINDOW_S seconds. Pure; times in seconds of one clock."""

import math
from collections.abc import Sequence

WINDOW_S = 60.0


def take(
    recent: Sequence[float], *, now: float, limit: int, window_s: float = WINDOW_S
) -> tuple[list[float], int]:
    """What is remembered afterwards, and 0 when one more may pass, else whole seconds until one may.

    Times ahead of `now` count, so that a clock set back gives nothing away; they are forgotten after one window.
    """
    kept = [at for at in recent if now - window_s < at < now + window_s]
    if len(kept) < limit:
        return [*kept, now], 0
    return kept, max(1, math.ceil(kept[-limit] + window_s - now))
