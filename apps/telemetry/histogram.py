"""Durations as counts in logarithmic buckets: percentiles within 2 % of the exact one, and merging is adding.

Bucket i holds what lies in (g^(i−1), g^i] milliseconds with g = (1 + a) ÷ (1 − a) and a = 0.02, and answers for
2·g^i ÷ (g + 1), which is at most a · v away from every v in it. What is 1 µs or less, zero included, is one bucket
that answers 0; what is longer than a day counts as a day. Buckets are told by whole numbers in code and by their text
in JSON, where keys are text. Percentiles are read from merged counts, never averaged.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

Buckets = Mapping[int, int]

RELATIVE_ERROR = 0.02
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LN_GAMMA = math.log(GAMMA)
SHORTEST_MS = 0.001
LONGEST_MS = 86_400_000.0
LOWEST = math.floor(math.log(SHORTEST_MS) / _LN_GAMMA)  # the bucket of what is too short to tell from nothing
HIGHEST = math.ceil(math.log(LONGEST_MS) / _LN_GAMMA)


def bucket_of(duration_ms: float) -> int:
    """The bucket of a duration of 0 ms or more."""
    if duration_ms <= SHORTEST_MS:
        return LOWEST
    return min(math.ceil(math.log(duration_ms) / _LN_GAMMA), HIGHEST)


def value_of(bucket: int) -> float:
    """What a bucket answers for, in ms."""
    return 0.0 if bucket <= LOWEST else 2 * GAMMA**bucket / (GAMMA + 1)


def counted(durations_ms: Iterable[float]) -> Counter[int]:
    """The histogram of some durations."""
    return Counter(map(bucket_of, durations_ms))


def merged(histograms: Iterable[Buckets]) -> Counter[int]:
    """All of them as one; the order does not matter."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def percentile(buckets: Buckets, q: float) -> float | None:
    """The order statistic of rank floor(q · (n − 1)), within 2 %, in ms; None of nothing. `q` lies in 0…1."""
    return percentiles(buckets, (q,))[0]


def percentiles(buckets: Buckets, qs: Sequence[float]) -> list[float | None]:
    """Several at once, in the order asked for."""
    total = sum(buckets.values())
    if not total:
        return [None for _ in qs]
    ranks = [math.floor(q * (total - 1)) for q in qs]
    found: dict[int, float] = {}
    passed = 0
    for bucket in sorted(buckets):
        passed += buckets[bucket]
        found |= {rank: value_of(bucket) for rank in ranks if rank < passed and rank not in found}
    return [found[rank] for rank in ranks]


def share_within(buckets: Buckets, limit_ms: float) -> float | None:
    """The share that took at most `limit_ms`, exact but for durations in the limit's own bucket; None of nothing.

    The bucket that the limit lies in counts whole, so a limit is as if it stood at that bucket's end.
    """
    total = sum(buckets.values())
    last = bucket_of(limit_ms)
    return sum(n for bucket, n in buckets.items() if bucket <= last) / total if total else None


def as_json(buckets: Buckets) -> dict[str, int]:
    """For a JSON column; in order, so that equal histograms are equal texts."""
    return {str(bucket): buckets[bucket] for bucket in sorted(buckets)}


def from_json(stored: Mapping[str, int]) -> dict[int, int]:
    """Out of a JSON column."""
    return {int(bucket): n for bucket, n in stored.items()}
