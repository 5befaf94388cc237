"""What other rooms ask of telemetry, each in one statement however many windows they ask for at once.

A window is given by its first minute and lasts until now; answers come in the order of the windows, by component id.
Where `endpoints` are given, one a window, a window counts that endpoint alone, "" being all.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.telemetry.models import RequestKind

_REQUESTS = RequestKind.REQUEST.value


@dataclass(frozen=True)
class Outcomes:
    """Requests whose outcome is known, and how many of them failed. `endpoint`: of which, where it is one's."""

    n: int
    failed: int
    endpoint: str = ""

    @property
    def failed_percent(self) -> float:
        """The share that failed; there is at least one request."""
        return 100 * self.failed / self.n


_WINDOWS = "FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS w(since, i) "
_NARROWED = "FROM unnest(%s::timestamptz[], %s::text[]) WITH ORDINALITY AS w(since, endpoint, i) "
_REQUESTS_OF = (
    "JOIN telemetry_requestminute r ON r.minute >= w.since AND r.kind = %s "
    "AND (w.endpoint = '' OR r.endpoint = w.endpoint) "
)


def _ask(sql: str, since: Sequence[datetime], *more: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(since), *more])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _all_or(endpoints: Sequence[str], since: Sequence[datetime]) -> list[str]:
    return list(endpoints) or [""] * len(since)


def failures(since: Sequence[datetime], endpoints: Sequence[str] = ()) -> list[dict[int, Outcomes]]:
    """Requests and failed ones of each component that had any."""
    found: list[dict[int, Outcomes]] = [{} for _ in since]
    for i, component_id, n, failed in _ask(
        f"SELECT w.i, r.component_id, sum(r.n)::bigint, sum(r.failed)::bigint {_NARROWED}{_REQUESTS_OF}"
        "GROUP BY w.i, r.component_id HAVING sum(r.n) > 0",
        since,
        _all_or(endpoints, since),
        _REQUESTS,
    ):
        found[i - 1][component_id] = Outcomes(n, failed)
    return found


def worst_endpoints(since: Sequence[datetime], at_least: int) -> list[dict[int, Outcomes]]:
    """Of each component the endpoint with the largest share of failed requests, among those with `at_least` of them."""
    found: list[dict[int, Outcomes]] = [{} for _ in since]
    for i, component_id, endpoint, n, failed in _ask(
        f"SELECT DISTINCT ON (w.i, r.component_id) w.i, r.component_id, r.endpoint, sum(r.n)::bigint, "
        f"sum(r.failed)::bigint {_WINDOWS}JOIN telemetry_requestminute r ON r.minute >= w.since AND r.kind = %s "
        "GROUP BY w.i, r.component_id, r.endpoint HAVING sum(r.n) >= %s "
        "ORDER BY w.i, r.component_id, sum(r.failed)::float8 / sum(r.n) DESC, sum(r.n) DESC, r.endpoint",
        since,
        _REQUESTS,
        max(at_least, 1),
    ):
        found[i - 1][component_id] = Outcomes(n, failed, endpoint)
    return found


def durations(since: Sequence[datetime], endpoints: Sequence[str] = ()) -> list[dict[int, dict[int, int]]]:
    """The merged histogram of the request durations of each component that had any."""
    found: list[dict[int, dict[int, int]]] = [defaultdict(dict) for _ in since]
    for i, component_id, bucket, n in _ask(
        f"SELECT w.i, r.component_id, b.key::int, sum(b.value::bigint)::bigint {_NARROWED}"
        f"{_REQUESTS_OF}CROSS JOIN LATERAL jsonb_each_text(r.durations) AS b GROUP BY w.i, r.component_id, b.key",
        since,
        _all_or(endpoints, since),
        _REQUESTS,
    ):
        found[i - 1][component_id][bucket] = n
    return [dict(one) for one in found]


def tracked(since: Sequence[datetime], names: Sequence[str]) -> list[dict[tuple[int, int], dict[str, int]]]:
    """How often each of these events was tracked, by (project id, component id): name → count."""
    found: list[dict[tuple[int, int], dict[str, int]]] = [defaultdict(dict) for _ in since]
    for i, project_id, component_id, name, n in _ask(
        f"SELECT w.i, t.project_id, t.component_id, t.name, sum(t.n)::bigint {_WINDOWS}"
        "JOIN telemetry_trackedminute t ON t.minute >= w.since AND t.name = ANY(%s) "
        "GROUP BY w.i, t.project_id, t.component_id, t.name",
        since,
        list(names),
    ):
        found[i - 1][project_id, component_id][name] = n
    return [dict(one) for one in found]


def tracked_hours(since: Sequence[datetime], names: Sequence[str]) -> list[dict[int, int]]:
    """How often each window's event, one name a window, was tracked since the hour in which the window begins."""
    found: list[dict[int, int]] = [{} for _ in since]
    for i, component_id, n in _ask(
        "SELECT w.i, t.component_id, sum(t.n)::bigint "
        "FROM unnest(%s::timestamptz[], %s::text[]) WITH ORDINALITY AS w(since, name, i) "
        "JOIN telemetry_trackedhour t ON t.name = w.name AND t.hour >= date_trunc('hour', w.since, 'UTC') "
        "GROUP BY w.i, t.component_id",
        since,
        list(names),
    ):
        found[i - 1][component_id] = n
    return found


def crash_free(
    since: Sequence[datetime], releases: Sequence[str], environments: Sequence[str]
) -> list[dict[int, Outcomes]]:
    """Sessions and crashed ones by project, since the hour in which each window begins; "" is every release and
    environment."""
    found: list[dict[int, Outcomes]] = [{} for _ in since]
    for i, project_id, n, crashed in _ask(
        "SELECT w.i, s.project_id, sum(s.healthy + s.errored + s.abnormal + s.crashed)::bigint, "
        "sum(s.crashed)::bigint FROM unnest(%s::timestamptz[], %s::text[], %s::text[]) "
        "WITH ORDINALITY AS w(since, release, environment, i) "
        "JOIN telemetry_sessionhour s ON s.hour >= date_trunc('hour', w.since, 'UTC') "
        "AND (w.release = '' OR s.release = w.release) "
        "AND (w.environment = '' OR s.environment = w.environment) GROUP BY w.i, s.project_id "
        "HAVING sum(s.healthy + s.errored + s.abnormal + s.crashed) > 0",
        since,
        list(releases),
        list(environments),
    ):
        found[i - 1][project_id] = Outcomes(n, crashed)
    return found


def first_failure(column: str, subject: int, start: datetime, names: Sequence[str]) -> datetime | None:
    """The first minute since `start` with a failed request or one of these events; `column` is project or component."""
    column = {"project": "project_id", "component": "component_id"}[column]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT min(m) FROM (SELECT min(minute) m FROM telemetry_requestminute WHERE {column} = %s "  # noqa: S608
            f"AND minute >= %s AND failed > 0 UNION ALL SELECT min(minute) FROM telemetry_trackedminute "
            f"WHERE {column} = %s AND minute >= %s AND name = ANY(%s)) AS both_of_them",
            [subject, start, subject, start, list(names)],
        )
        first: datetime | None = cursor.fetchone()[0]
        return first
