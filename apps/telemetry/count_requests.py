"""Requests by minute, hour and day: counts and histograms, added to what is there.

Endpoints are named by senders, so there is an end to how many rows a span of time may have: the rest is counted under
"(other)", and no request is lost. Two drains at once may pass that end by what both begin.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from apps.core.bulk import rows_of
from apps.telemetry import histogram
from apps.telemetry.endpoints import OTHER
from apps.telemetry.reported import Request


@dataclass(frozen=True, order=True)
class Key:
    """One endpoint at a moment; `at` becomes a minute, an hour or a day."""

    at: datetime
    project_id: int
    component_id: int
    kind: str
    endpoint: str
    device: str


@dataclass
class Tally:
    """Some requests of one endpoint: see `RequestCount`."""

    n: int = 0
    failed: int = 0
    timed: int = 0
    duration_sum_ms: float = 0.0
    duration_max_ms: float = 0.0
    durations: dict[int, int] = field(default_factory=dict)

    def count(self, failed: bool | None, duration_ms: float | None) -> None:
        """One more request."""
        if failed is not None:
            self.n += 1
            self.failed += failed
        if duration_ms is not None:
            bucket = histogram.bucket_of(duration_ms)
            self.timed += 1
            self.duration_sum_ms += duration_ms
            self.duration_max_ms = max(self.duration_max_ms, duration_ms)
            self.durations[bucket] = self.durations.get(bucket, 0) + 1

    def add(self, other: "Tally") -> None:
        """Take over another's requests."""
        self.n, self.failed, self.timed = (
            self.n + other.n,
            self.failed + other.failed,
            self.timed + other.timed,
        )
        self.duration_sum_ms += other.duration_sum_ms
        self.duration_max_ms = max(self.duration_max_ms, other.duration_max_ms)
        self.durations = dict(histogram.merged((self.durations, other.durations)))


Tallies = Mapping[Key, Tally]


@dataclass(frozen=True)
class Span:
    """A table of request counts: its column of time, how a moment falls into it, how many endpoints it holds."""

    table: str
    column: str
    sql_type: str
    floor: Callable[[datetime], datetime | date]
    most: int


def minute_of(at: datetime) -> datetime:
    """The minute in which it lies."""
    return at.replace(second=0, microsecond=0)


def hour_of(at: datetime) -> datetime:
    """The hour in which it lies."""
    return at.replace(minute=0, second=0, microsecond=0)


MINUTES = Span("telemetry_requestminute", "minute", "timestamptz", minute_of, 200)
HOURS = Span("telemetry_requesthour", "hour", "timestamptz", hour_of, 300)
DAYS = Span("telemetry_requestday", "day", "date", datetime.date, 500)
ALL = (MINUTES, HOURS, DAYS)


def tally(requests: Iterable[tuple[Request, int]]) -> dict[Key, Tally]:
    """Requests with their component's id, by minute."""
    found: dict[Key, Tally] = defaultdict(Tally)
    for r, component_id in requests:
        key = Key(minute_of(r.occurred_at), r.project_id, component_id, r.kind, r.endpoint, r.device)
        found[key].count(r.failed, r.duration_ms)
    return found


def add(tallies: Tallies, spans: Iterable[Span] = ALL) -> None:
    """Add them to the tables of these spans."""
    for span in spans if tallies else ():
        floored: dict[Row, Tally] = defaultdict(Tally)
        for key, counted in tallies.items():
            floored[
                span.floor(key.at), key.project_id, key.component_id, key.kind, key.endpoint, key.device
            ].add(counted)
        _write(span, _folded(span, floored))


Row = tuple[Any, int, int, str, str, str]  # as Key, its time floored


def _folded(span: Span, rows: dict[Row, Tally]) -> dict[Row, Tally]:
    """Endpoints that are new to a span which is full go to "(other)"."""
    known = _known(span, rows)
    new = {(at, project, endpoint) for at, project, _, _, endpoint, _ in rows} - known
    if not new:
        return rows
    counts = _counts(span, {(at, project) for at, project, _ in new})
    full = set()
    for at, project, endpoint in sorted(new):
        if counts.get((at, project), 0) >= span.most:
            full.add((at, project, endpoint))
        else:
            counts[at, project] = counts.get((at, project), 0) + 1
    found: dict[Row, Tally] = defaultdict(Tally)
    for (at, project, component, kind, endpoint, device), counted in rows.items():
        named = OTHER if (at, project, endpoint) in full else endpoint
        found[at, project, component, kind, named, device].add(counted)
    return found


def _known(span: Span, rows: Iterable[Row]) -> set[tuple[Any, int, str]]:
    """Which endpoints have a row already."""
    asked = sorted({(at, project, endpoint) for at, project, _, _, endpoint, _ in rows})
    found = rows_of(
        f"SELECT t.i FROM jsonb_to_recordset(%s::jsonb) AS t(i int, at {span.sql_type}, p bigint, e text) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM {span.table} r WHERE r.{span.column} = t.at AND r.project_id = t.p "
        f"AND r.endpoint = t.e)",
        [{"i": i, "at": at, "p": project, "e": endpoint} for i, (at, project, endpoint) in enumerate(asked)],
    )
    return {asked[i] for (i,) in found}


def _counts(span: Span, asked: Iterable[tuple[Any, int]]) -> dict[tuple[Any, int], int]:
    """How many endpoints these spans of these projects have."""
    pairs = sorted(asked)
    found = rows_of(
        f"SELECT t.i, count(DISTINCT r.endpoint) FROM jsonb_to_recordset(%s::jsonb) "  # noqa: S608
        f"AS t(i int, at {span.sql_type}, p bigint) JOIN {span.table} r ON r.{span.column} = t.at "
        f"AND r.project_id = t.p GROUP BY t.i",
        [{"i": i, "at": at, "p": project} for i, (at, project) in enumerate(pairs)],
    )
    return {pairs[i]: n for i, n in found}


def _write(span: Span, rows: dict[Row, Tally]) -> None:
    columns = f"{span.column}, project_id, component_id, kind, endpoint, device"
    rows_of(
        f"INSERT INTO {span.table} AS r ({columns}, n, failed, timed, duration_sum_ms, duration_max_ms, durations) "  # noqa: S608
        f"SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t({span.column} {span.sql_type}, project_id bigint, "
        "component_id bigint, kind text, endpoint text, device text, n bigint, failed bigint, timed bigint, "
        "duration_sum_ms float8, duration_max_ms float8, durations jsonb) "
        f"ON CONFLICT ({columns}) DO UPDATE SET n = r.n + excluded.n, failed = r.failed + excluded.failed, "
        "timed = r.timed + excluded.timed, duration_sum_ms = r.duration_sum_ms + excluded.duration_sum_ms, "
        "duration_max_ms = greatest(r.duration_max_ms, excluded.duration_max_ms), "
        "durations = telemetry_merge(r.durations, excluded.durations)",
        [_as_json(span, row, rows[row]) for row in sorted(rows)],
    )


def _as_json(span: Span, row: Row, counted: Tally) -> dict[str, Any]:
    at, project_id, component_id, kind, endpoint, device = row
    return {
        span.column: at, "project_id": project_id, "component_id": component_id, "kind": kind, "endpoint": endpoint,
        "device": device, "n": counted.n, "failed": counted.failed, "timed": counted.timed,
        "duration_sum_ms": counted.duration_sum_ms, "duration_max_ms": counted.duration_max_ms,
        "durations": histogram.as_json(counted.durations),
    }  # fmt: skip
