"""Times to detect, acknowledge, mitigate and restore. Pure. What is unset stays unset: it is never zero."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

STAMPS = ("began_at", "detected_at", "acknowledged_at", "mitigated_at", "resolved_at")
# A failure may be mitigated by a machine before anybody acknowledges it: these two come in either order.
_EITHER_ORDER = {"acknowledged_at", "mitigated_at"}


class Stamped(Protocol):
    """The five stamps of an incident."""

    began_at: datetime
    detected_at: datetime | None
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None


@dataclass(frozen=True)
class Durations:
    """Of one incident; None where a stamp is missing."""

    to_detect: timedelta | None
    to_acknowledge: timedelta | None
    to_mitigate: timedelta | None
    to_restore: timedelta | None

    def labelled(self) -> list[tuple[str, timedelta | None]]:
        """(words, duration) in the order in which they happen."""
        return [
            ("Time to detect", self.to_detect),
            ("Time to acknowledge", self.to_acknowledge),
            ("Time to mitigate", self.to_mitigate),
            ("Time to restore", self.to_restore),
        ]


@dataclass(frozen=True)
class Summary:
    """Of many: median, 90th percentile, and how many had both stamps."""

    median_s: float | None
    p90_s: float | None
    n: int


def earlier_stamps(stamp: str) -> tuple[str, ...]:
    """The stamps that may not lie after this one."""
    earlier = STAMPS[: STAMPS.index(stamp)]
    return tuple(name for name in earlier if {name, stamp} != _EITHER_ORDER)


def disorder(stamps: Mapping[str, datetime | None]) -> tuple[str, str] | None:
    """The first pair (earlier, later) that stands the wrong way round; unset ones are passed over."""
    for later in STAMPS:
        for earlier in earlier_stamps(later):
            first, last = stamps[earlier], stamps[later]
            if first is not None and last is not None and first > last:
                return earlier, later
    return None


def between(first: datetime | None, last: datetime | None) -> timedelta | None:
    """last − first, None if either is unset."""
    return None if first is None or last is None else last - first


def of(incident: Stamped) -> Durations:
    """Detected, mitigated and resolved count from the beginning; acknowledged counts from the detection."""
    return Durations(
        between(incident.began_at, incident.detected_at),
        between(incident.detected_at, incident.acknowledged_at),
        between(incident.began_at, incident.mitigated_at),
        between(incident.began_at, incident.resolved_at),
    )


def quantile_s(seconds: Sequence[float], share: float) -> float | None:
    """By linear interpolation between the two nearest ranks (type 7 of Hyndman and Fan); None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    place = (len(ordered) - 1) * share
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summarise(durations: Iterable[timedelta | None]) -> Summary:
    """Median, p90 and count of those that are known."""
    known = [d.total_seconds() for d in durations if d is not None]
    return Summary(quantile_s(known, 0.5), quantile_s(known, 0.9), len(known))


def in_words(duration: timedelta | None) -> str:
    """Such as "1 h 3 min"; "not known" for None."""
    if duration is None:
        return "not known"
    seconds = int(duration.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{n} {unit}" for n, unit in parts if n][:2]
    return " ".join(shown) or "0 s"
