"""What analyses ask about requests, tracked events and users over a range: from counters, with few queries each.

Ranges are [start, end) in whole minutes (`by_minute`) or whole hours. `keys` narrows to {"component_id": …} or
{"project_id": …}; empty: everything.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from django.db.models import Max, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from apps.core.distinct import Estimate, estimate, estimates
from apps.core.spans import Days, by_days, days_touched, whole_hour
from apps.telemetry import histogram
from apps.telemetry.known_events import ERROR
from apps.telemetry.models import (
    RequestDay,
    RequestHour,
    RequestKind,
    RequestMinute,
    TrackedHour,
)

Keys = Mapping[str, int]
Endpoint = tuple[int, int, str]  # project, component, endpoint


def _between(column: str, start: object, end: object) -> dict[str, object]:
    return {f"{column}__gte": start, f"{column}__lt": end}


# --- Requests -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Requests:
    """Requests with a known outcome, and those of them that failed."""

    n: int = 0
    failed: int = 0


def endpoint_requests(
    start: datetime, end: datetime, now: datetime, by_minute: bool, keys: Keys
) -> dict[Endpoint, Requests]:
    """Requests of services by endpoint; an endpoint whose requests are not counted is not in it. Two queries."""
    found: dict[Endpoint, Requests] = {}
    for row in _sums(start, end, now, by_minute, keys):
        project, component, name, n, failed = row
        old = found.get((project, component, name), Requests())
        found[project, component, name] = Requests(old.n + n, old.failed + failed)
    return found


def _sums(
    start: datetime, end: datetime, now: datetime, by_minute: bool, keys: Keys
) -> list[tuple[int, int, str, int, int]]:
    if by_minute:
        return _summed(RequestMinute._default_manager.filter(**_between("minute", start, end), **keys))
    days = by_days(start, end, now)
    hours = RequestHour._default_manager.filter(_within(days), **keys)
    whole = RequestDay._default_manager.filter(**_between("day", days.first, days.last), **keys)
    return [*_summed(whole), *_summed(hours)]


def _within(days: Days) -> Q:
    found = Q(pk__in=())
    for low, high in days.edges:
        found |= Q(hour__gte=low, hour__lt=high)
    return found


def _summed(rows: QuerySet[Any]) -> list[tuple[int, int, str, int, int]]:
    known = rows.filter(kind=RequestKind.REQUEST, n__gt=0).order_by()
    return list(
        known.values_list("project_id", "component_id", "endpoint").annotate(of=Sum("n"), bad=Sum("failed"))
    )


@dataclass(frozen=True)
class Latency:
    """An endpoint's durations in ms: percentiles within 2 %, the mean and the longest; `over` of them took longer than
    the limit that was asked about."""

    project_id: int
    component_id: int
    endpoint: str
    timed: int
    p50: float
    p95: float
    p99: float
    mean: float
    longest: float
    over: int


def latencies(
    first: date, last: date, keys: Keys, *, more_than: int = 0, limit_ms: float = 1000.0
) -> list[Latency]:
    """Endpoints with more than so many timed requests on the days first … last (UTC, both included). Two queries."""
    rows = RequestDay.objects.filter(day__range=(first, last), kind=RequestKind.REQUEST, **keys).order_by()
    sums = rows.values_list("project_id", "component_id", "endpoint").annotate(
        of=Sum("timed"), took=Sum("duration_sum_ms"), longest=Max("duration_max_ms")
    )
    wanted: dict[Endpoint, tuple[int, float, float]] = {
        (project, component, name): (timed, took, longest)
        for project, component, name, timed, took, longest in sums.filter(of__gt=more_than)
    }
    buckets = _buckets(first, last, keys)
    return [
        _latency(key, *wanted[key], buckets=buckets[key], limit_ms=limit_ms)
        for key in sorted(wanted)
        if key in buckets
    ]


def _buckets(first: date, last: date, keys: Keys) -> dict[Endpoint, dict[int, int]]:
    """Merged here, from the text of the column: quicker than unfolding every bucket to a row of the database."""
    rows = RequestDay.objects.filter(day__range=(first, last), kind=RequestKind.REQUEST, **keys).order_by()
    texts = rows.annotate(text=Cast("durations", TextField()))
    found: dict[Endpoint, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for project, component, endpoint, text in texts.values_list(
        "project_id", "component_id", "endpoint", "text"
    ):
        merged = found[project, component, endpoint]
        for bucket, n in orjson.loads(text).items():
            merged[bucket] += n
    return {key: histogram.from_json(merged) for key, merged in found.items()}


def _latency(
    key: Endpoint, timed: int, took: float, longest: float, *, buckets: dict[int, int], limit_ms: float
) -> Latency:
    p50, p95, p99 = (found or 0.0 for found in histogram.percentiles(buckets, (0.5, 0.95, 0.99)))
    within = histogram.share_within(buckets, limit_ms)
    over = round(timed * (1 - within)) if within is not None else 0
    return Latency(*key, timed, p50, p95, p99, took / timed, longest, over)


# --- Users --------------------------------------------------------------------------------------------------------
def active_users(start: datetime, end: datetime, keys: Keys) -> Estimate:
    """Distinct users heard of, by errors or else. Counted by project: a component's are those of its project."""
    where = "day BETWEEN %s AND %s AND last_hour >= %s"
    given: list[Any] = [*days_touched(start, end), whole_hour(start)]
    if "project_id" in keys:
        where, given = f"{where} AND project_id = %s", [*given, keys["project_id"]]
    return estimate("telemetry_activeuserday", where, given)


# --- Tracked events -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Tally:
    """Tracked events that are alike: how many, how many of them with a duration, and its sum in ms."""

    n: int = 0
    timed: int = 0
    duration_sum_ms: float = 0.0

    @property
    def mean_ms(self) -> float | None:
        """Of those with a duration; None where there is none."""
        return self.duration_sum_ms / self.timed if self.timed else None


def tallies(
    names: Collection[str],
    start: datetime,
    end: datetime,
    keys: Keys,
    by: Iterable[str],
    only: Q | None = None,
) -> dict[tuple[str, ...], Tally]:
    """Events of these names summed by some of name, subject, provider, reason, outcome, severity."""
    rows = TrackedHour.objects.filter(only or Q(), name__in=names, **_between("hour", start, end), **keys)
    columns = tuple(by)
    found = (
        rows.order_by()
        .values_list(*columns)
        .annotate(of=Sum("n"), with_=Sum("timed"), took=Sum("duration_sum_ms"))
    )
    return {tuple(row[: len(columns)]): Tally(*row[len(columns) :]) for row in found}


def error_names(start: datetime, end: datetime, keys: Keys) -> list[str]:
    """Names heard in the range that hold the word error."""
    rows = TrackedHour.objects.filter(name__icontains=ERROR, **_between("hour", start, end), **keys)
    return list(rows.order_by().values_list("name", flat=True).distinct())


def deed_users(
    names: Collection[str], start: datetime, end: datetime, keys: Keys, by: Sequence[str]
) -> dict[tuple[str, ...], Estimate]:
    """Distinct users of these events, by some of name, subject, severity; exact for a range that ends now."""
    narrowed = "".join(f" AND {column} = %s" for column in keys)
    where = f"name = ANY (%s) AND day BETWEEN %s AND %s AND last_hour >= %s{narrowed}"
    given: list[Any] = [list(names), *days_touched(start, end), whole_hour(start), *keys.values()]
    return estimates("telemetry_trackeduserday", by, where, given) if names else {}


def last_uses(name: str, start: datetime, end: datetime, keys: Keys) -> dict[str, tuple[datetime, int]]:
    """Of an event, by its subject: the last hour that it was heard in, and how often."""
    rows = TrackedHour.objects.filter(name=name, **_between("hour", start, end), **keys).exclude(subject="")
    found = rows.order_by().values_list("subject").annotate(at=Max("hour"), of=Sum("n"))
    return {subject: (at, n) for subject, at, n in found}
