"""From counts by the minute or hour to what a measure would have read in each window. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apps.alerts.rule_history.replay import Change
from apps.alerts.rules import Reading
from apps.alerts.telemetry_measures import CERTAIN, FEWEST_OF_AN_ENDPOINT
from apps.telemetry import histogram

TOLD = "told"  # the key of events by which an application itself says that all is lost


@dataclass
class Sums:
    """Counts of a bucket or of a window, by key: of all, and of those that failed."""

    n: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Sums") -> None:
        """A bucket enters the window."""
        for key, n in other.n.items():
            self.n[key] += n
        for key, n in other.failed.items():
            self.failed[key] += n

    def take(self, other: "Sums") -> None:
        """A bucket leaves the window; nothing stays behind of a key that is gone."""
        for mine, theirs in ((self.n, other.n), (self.failed, other.failed)):
            for key, n in theirs.items():
                mine[key] -= n
                if not mine[key]:
                    del mine[key]


Buckets = Mapping[int, Sums]
Read = Callable[[Sums], Reading]
NO_DATA = Reading(None)


def changes(buckets: Buckets, width: int, read: Read, first: int | None = None) -> list[Change]:
    """Each look at which the reading changes. Look i sees the buckets i − width … i − 1.

    A subject is judged from its first bucket on, or from look `first`. Buckets before 0 count for the first look.
    """
    ends = sorted({look for at in buckets for look in (at + 1, at + 1 + width)})
    window, found = Sums(), {} if first is None else {first: read(Sums())}
    for look in ends:
        if (bucket := buckets.get(look - 1)) is not None:
            window.add(bucket)
        if (bucket := buckets.get(look - 1 - width)) is not None:
            window.take(bucket)
        found[max(look, 0)] = read(window)
    return list(found.items())


# --- What a measure reads of a window -----------------------------------------------------------------------
def total(window: Sums) -> Reading:
    """A count, its own volume, with what applications told."""
    n = sum(window.n.values())
    return Reading(float(n), n)


def per_minute(minutes: float) -> Read:
    """The same divided by the minutes of the window."""
    return lambda window: Reading(sum(window.n.values()) / minutes, sum(window.n.values()))


def failed_percent(window: Sums) -> Reading:
    """Of requests; all of them where the application says so itself."""
    if window.n.get(TOLD):
        return Reading(100.0, CERTAIN)
    n = window.n.get("", 0)
    return Reading(100 * window.failed.get("", 0) / n, n) if n else NO_DATA


def without_crash_percent(window: Sums) -> Reading:
    """Of sessions."""
    n = window.n.get("", 0)
    return Reading(100 - 100 * window.failed.get("", 0) / n, n) if n else NO_DATA


def worst_percent(window: Sums) -> Reading:
    """Of the worst key among those that are frequent enough."""
    shares = [
        (100 * window.failed.get(key, 0) / n, n) for key, n in window.n.items() if n >= FEWEST_OF_AN_ENDPOINT
    ]
    return Reading(*max(shares)) if shares else NO_DATA


def distinct(weight: int) -> Read:
    """How many keys there are; what applications told counts `weight` each."""

    def read(window: Sums) -> Reading:
        n = len(window.n) + (weight * window.n[TOLD] - 1 if window.n.get(TOLD) else 0)
        return Reading(float(n), n)

    return read


def percentile(q: float) -> Read:
    """Of durations whose keys are the buckets of their histogram, in ms."""

    def read(window: Sums) -> Reading:
        buckets = {int(key): n for key, n in window.n.items()}
        return Reading(histogram.percentile(buckets, q), sum(buckets.values())) if buckets else NO_DATA

    return read
