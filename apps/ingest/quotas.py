"""How many events a project, and the whole installation, may send in a day and in a month of UTC.

Judged from the counters of what was kept, which the drain writes: so it is noticed within seconds, and what comes in
those seconds is still taken. Pure but for the one statement, which whoever asks runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

# What a quota counts: events that were kept. Sessions, check-ins and reports of clients are a few bytes each.
COUNTED_TYPES = ("event", "transaction", "tracked")
COUNTED_OUTCOMES = ("stored", "counted")

# Parameters: of(). One row: the project's day and month, the installation's day and month.
USED = """
SELECT coalesce(sum(n) FILTER (WHERE day = %(today)s AND project_id = %(project)s), 0)::bigint,
  coalesce(sum(n) FILTER (WHERE project_id = %(project)s), 0)::bigint,
  coalesce(sum(n) FILTER (WHERE day = %(today)s), 0)::bigint, coalesce(sum(n), 0)::bigint
FROM ingest_itemcount WHERE day >= %(first)s AND day <= %(today)s AND (%(all)s OR project_id = %(project)s)
  AND item_type = ANY(%(types)s) AND outcome = ANY(%(outcomes)s)
"""


@dataclass(frozen=True, slots=True)
class Ends:
    """Limits of a project or of the installation, in events; None: no end."""

    per_day: int | None = None
    per_month: int | None = None

    def __bool__(self) -> bool:
        return self.per_day is not None or self.per_month is not None


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit and how much of it is used. `scope` is the word that SDKs' rate limits have for whose it is."""

    label: str
    limit: int
    used: int
    resets_at: datetime
    scope: str = "project"

    @property
    def is_spent(self) -> bool:
        """Whether no more is taken."""
        return self.used >= self.limit


def parameters(project_id: int, today: date, *, all_projects: bool) -> dict[str, Any]:
    """Of USED. Reading all projects costs more, so it is asked for only where the installation has a quota."""
    return {
        "project": project_id, "today": today, "first": today.replace(day=1), "all": all_projects,
        "types": list(COUNTED_TYPES), "outcomes": list(COUNTED_OUTCOMES),
    }  # fmt: skip


def of(project: Ends, installation: Ends, used: Sequence[int], today: date) -> list[Quota]:
    """The quotas that there are, from a row of USED."""
    day_ends = _midnight(today + timedelta(days=1))
    month_ends = _midnight((today.replace(day=1) + timedelta(days=32)).replace(day=1))
    rows = (
        ("Events today", project.per_day, used[0], day_ends, "project"),
        ("Events this month", project.per_month, used[1], month_ends, "project"),
        ("Events today, all projects", installation.per_day, used[2], day_ends, "organization"),
        ("Events this month, all projects", installation.per_month, used[3], month_ends, "organization"),
    )
    return [Quota(label, limit, n, at, scope) for label, limit, n, at, scope in rows if limit is not None]


def spent(quotas: Sequence[Quota]) -> Quota | None:
    """Of those that are used up the one that holds longest; None while there is room."""
    return max((q for q in quotas if q.is_spent), key=lambda q: q.resets_at, default=None)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
