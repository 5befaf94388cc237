"""Columns of a chart worked out: stacked heights, a round top, which labels stand under it. No Django."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_SERIES = 6
OTHER = "other"
_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class Series:
    """One thing over time; None where there is no data, which is not zero. `tone` names a colour, such as sev1."""

    name: str
    values: Sequence[float | None]
    tone: str = ""


@dataclass(frozen=True)
class Block:
    """A rectangle of a column in hundredths of the chart's height, `y` from the top, of the series at `place`."""

    x: int
    y: float
    height: float
    place: int


def round_top(highest: float) -> float:
    """The lowest number of one digit, or 1.5, times a power of ten that is not below; 1 for nothing."""
    if highest <= 0:
        return 1.0
    power = 1.0
    while power > highest:
        power /= 10
    while power * 10 < highest:
        power *= 10
    return next(step * power for step in _STEPS if step * power >= highest)


def fold(series: Sequence[Series], most: int = MOST_SERIES) -> list[Series]:
    """The largest series first; what is beyond `most` is one grey series called "other". Series with own colours
    stay in their order."""
    if all(s.tone for s in series) and len(series) <= most:
        return list(series)
    ordered = sorted(series, key=lambda s: -sum(v or 0 for v in s.values))
    if len(ordered) <= most:
        return ordered
    rest = [
        sum(v or 0 for v in column) if any(v is not None for v in column) else None
        for column in zip(*(s.values for s in ordered[most:]), strict=True)
    ]
    return [*ordered[:most], Series(OTHER, rest)]


def blocks(series: Sequence[Series], top: float) -> list[Block]:
    """Rectangles of all columns, each series upon the one before it. Zero and no data draw nothing."""
    found = []
    for x, column in enumerate(zip(*(s.values for s in series), strict=True)):
        edges = [0.0]
        for value in column:
            edges.append(edges[-1] + (value or 0))
        for place, (low, high) in enumerate(pairwise(edges)):
            if high > low:
                height = max((high - low) / top * 100, 0.8)
                found.append(Block(x, round(100 - low / top * 100 - height, 2), round(height, 2), place))
    return found


def highest(series: Sequence[Series]) -> float:
    """The tallest column's height."""
    return max(
        (sum(v or 0 for v in column) for column in zip(*(s.values for s in series), strict=True)), default=0
    )
