"""Token buckets: how much may pass at once and over time. Arithmetic alone, `now` in seconds of any steady clock.

A bucket fills at a rate up to its burst, and over any time t no more passes than rate·t + burst. A single want that is
larger than the bucket is met when that is nearly full, and the bucket then owes: so a large batch is possible, and paid
for by those that follow.
"""

import math
from dataclasses import dataclass

LEASED_FOR_S = 1.0
LEAST_LEASED = 50
# A process that was refused asks again after this at the earliest: what flows in meanwhile is one share of the rate.
ASKS_EVERY_S = 0.05
NEARLY_FULL = 0.9  # the rest may be leased by processes that do not use it


@dataclass(frozen=True, slots=True)
class Limit:
    """Tokens per second, and how many may pass at once after a quiet time."""

    rate: float
    burst: float

    @property
    def chunk(self) -> int:
        """What a process takes at a time, so that it need not ask for each: a twentieth of a second's rate or 50,
        and of a small bucket a tenth at most, since what one process holds the others lack.
        """
        return max(1, int(min(max(LEAST_LEASED, self.rate * ASKS_EVERY_S), self.burst / 10)))

    def share(self, parts: int) -> "Limit":
        """The limit of one of `parts` equal processes that cannot ask each other."""
        return Limit(self.rate / parts, max(1.0, self.burst / parts))


def per_minute(events: int, burst_s: float) -> Limit:
    """A limit as people write it."""
    return Limit(events / 60, max(1.0, events / 60 * burst_s))


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens granted; else seconds until the want could be met, and until a single token could be had."""

    granted: int = 0
    wait_s: float = 0.0
    dry_s: float = 0.0


@dataclass(slots=True)
class Bucket:
    """How full a bucket was at a moment."""

    tokens: float
    at: float

    def ask(self, wanted: int, limit: Limit, *, now: float, chunk: int = 1, back: int = 0) -> Answer:
        """Take `wanted`, or up to `chunk` if that is more, or nothing; `back` are unused tokens of before."""
        self.tokens = min(limit.burst, self.tokens + max(0.0, now - self.at) * limit.rate + back)
        self.at = now
        needed = min(wanted, limit.burst * NEARLY_FULL)
        if self.tokens >= needed:
            granted = max(wanted, math.floor(min(self.tokens, chunk)))
            self.tokens -= granted
            return Answer(granted)
        return Answer(0, (needed - self.tokens) / limit.rate, max(0.0, 1 - self.tokens) / limit.rate)


@dataclass(slots=True)
class Lease:
    """Tokens that a process took in advance, and until when it knows that there are none."""

    left: int = 0
    until: float = 0.0
    dry_until: float = 0.0

    def take(self, wanted: int, now: float) -> bool:
        """From what is held."""
        if self.left < wanted or now >= self.until:
            return False
        self.left -= wanted
        return True

    def renew(self, wanted: int, answer: Answer, now: float) -> bool:
        """After asking, where everything still held was handed back: whether `wanted` was granted."""
        self.left, self.until = max(answer.granted - wanted, 0), now + LEASED_FOR_S
        self.dry_until = now + max(answer.dry_s, ASKS_EVERY_S) if answer.dry_s else 0.0
        return answer.granted >= wanted
