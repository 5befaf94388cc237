"""What is dropped when: arithmetic over the list of cut tables and the days that projects keep."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from apps.errors.retention import EVENTS


class Listed(Protocol):
    """A row of the list of cut tables."""

    name: str
    span: str
    keep_days: int | None


@dataclass(frozen=True)
class Drop:
    """`project` is empty for a whole partition; `day` is the oldest that is still there and goes at `at`.

    `kept` is said in words; `at` is None where nothing is dropped.
    """

    table: str
    project: str
    kept: str
    day: date | None
    at: date | None


def drops(
    *, listed: Iterable[Listed], oldest: Mapping[str, date], kept: Mapping[str, int], now: datetime
) -> list[Drop]:
    """Whole partitions by table, then the projects that keep error events for less time, nearest date first."""
    tables = list(listed)
    found = [_partition(row, oldest.get(row.name)) for row in tables]
    limit = next((row.keep_days for row in tables if row.name == EVENTS), None)
    found += [
        Drop(EVENTS, project, _words(days), now.date() - timedelta(days=days), now.date() + timedelta(days=1))
        for project, days in kept.items()
        if limit is not None and days < limit
    ]
    return sorted(found, key=lambda d: (d.at or date.max, d.table, d.project))


def _partition(row: Listed, oldest: date | None) -> Drop:
    """A day goes when it lies wholly before the limit: the day after its last row came of age."""
    if row.keep_days is None:
        return Drop(row.name, "", "for ever", oldest, None)
    at = oldest + timedelta(days=row.keep_days + 1) if oldest and row.span == "day" else None
    return Drop(row.name, "", _words(row.keep_days), oldest, at)


def _words(days: int) -> str:
    return f"{days:,} day{'' if days == 1 else 's'}"
