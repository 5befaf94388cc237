"""Where the past of each measure is kept: one statement a table, read from the newest row back to a limit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from apps.alerts import measures
from apps.alerts.measures import CASCADE_ENDPOINTS, DATABASE_CONNECTION
from apps.alerts.rule_history import windows
from apps.alerts.rule_history.windows import TOLD, Read
from apps.alerts.telemetry_measures import ENDPOINT, ENVIRONMENT, EVENT, RELEASE
from apps.core.ids import uuid_floor
from apps.telemetry import known_events
from apps.telemetry.models import RequestKind

MINUTE, HOUR = "minute", "hour"
_REQUEST = RequestKind.REQUEST.value


@dataclass(frozen=True)
class Wanted:
    """Which rows: of [start, end), of these subjects, narrowed as the rule is; at most `limit` of them."""

    start: datetime
    end: datetime
    subjects: Sequence[int]
    severities: Sequence[str]
    matchers: Mapping[str, str]
    limit: int


@dataclass(frozen=True)
class Row:
    """What one subject counted of one key in one bucket."""

    subject: int
    at: datetime
    key: str
    n: int
    failed: int = 0


@dataclass(frozen=True)
class Found:
    """Rows, and whether the limit cut off what is older."""

    rows: list[Row]
    cut: bool


Select = tuple[str, list[Any]]


@dataclass(frozen=True)
class Source:
    """The past of one measure. `minutes` and `hours` make the inner statement, which gives subject, at, key, n and
    failed, one row a stored row; None where the past is not kept so. `keep_days`: how long minutes are kept."""

    read: Callable[[float], Read]
    minutes: Callable[[Wanted], Select] | None
    hours: Callable[[Wanted], Select] | None
    keep_days: Callable[[], int] = lambda: settings.ROLLUP_MINUTE_RETENTION_DAYS
    told: tuple[str, ...] = ()


def fetch(select: Select, wanted: Wanted) -> Found:
    """The newest rows up to the limit, summed by bucket and key; one statement."""
    inner, parameters = select
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH r AS MATERIALIZED ({inner} ORDER BY at DESC LIMIT %s) "  # noqa: S608 - our own names
            "SELECT subject, at, key, sum(n)::bigint, sum(failed)::bigint, (SELECT count(*) FROM r) "
            "FROM r GROUP BY subject, at, key",
            [*parameters, wanted.limit],
        )
        raw = cursor.fetchall()
    rows = [Row(*facts) for *facts, _ in raw]
    return Found(rows, bool(raw) and raw[0][-1] >= wanted.limit)


# --- Statements ---------------------------------------------------------------------------------------------
def _errors(table: str, column: str) -> Callable[[Wanted], Select]:
    sql = (
        f"SELECT component_id AS subject, {column} AS at, '' AS key, n, 0 AS failed FROM {table} "  # noqa: S608
        f"WHERE {column} >= %s AND {column} < %s AND component_id = ANY(%s) AND severity = ANY(%s)"
    )
    return lambda w: (sql, [w.start, w.end, list(w.subjects), list(w.severities)])


def _requests(column: str, key: str = "''") -> Callable[[Wanted], Select]:
    sql = (
        f"SELECT component_id AS subject, {column} AS at, {key} AS key, n, failed "  # noqa: S608
        f"FROM telemetry_request{column} WHERE {column} >= %s AND {column} < %s "
        "AND component_id = ANY(%s) AND kind = %s AND n > 0 AND (%s = '' OR endpoint = %s)"
    )

    def select(w: Wanted) -> Select:
        endpoint = w.matchers.get(ENDPOINT, "")
        return sql, [w.start, w.end, list(w.subjects), _REQUEST, endpoint, endpoint]

    return select


def _durations(column: str) -> Callable[[Wanted], Select]:
    sql = (
        f"SELECT r.component_id AS subject, r.{column} AS at, b.key AS key, b.value::bigint AS n, 0 AS failed "  # noqa: S608
        f"FROM telemetry_request{column} r CROSS JOIN LATERAL jsonb_each_text(r.durations) AS b "
        f"WHERE r.{column} >= %s AND r.{column} < %s AND r.component_id = ANY(%s) AND r.kind = %s "
        "AND (%s = '' OR r.endpoint = %s)"
    )

    def select(w: Wanted) -> Select:
        endpoint = w.matchers.get(ENDPOINT, "")
        return sql, [w.start, w.end, list(w.subjects), _REQUEST, endpoint, endpoint]

    return select


def _failing_endpoints(column: str) -> Callable[[Wanted], Select]:
    sql = (
        f"SELECT project_id AS subject, {column} AS at, endpoint AS key, n, 0 AS failed "  # noqa: S608
        f"FROM errors_endpoint{column} WHERE {column} >= %s AND {column} < %s "
        "AND project_id = ANY(%s) AND endpoint <> ''"
    )
    return lambda w: (sql, [w.start, w.end, list(w.subjects)])


def tracked(column: str, names: Sequence[str], per: str, key: str = TOLD) -> Callable[[Wanted], Select]:
    """Tracked events of these names, by component or project."""
    sql = (
        f"SELECT {per}_id AS subject, {column} AS at, %s AS key, n, 0 AS failed "  # noqa: S608
        f"FROM telemetry_tracked{column} WHERE {column} >= %s AND {column} < %s "
        f"AND {per}_id = ANY(%s) AND name = ANY(%s)"
    )
    return lambda w: (sql, [key, w.start, w.end, list(w.subjects), list(names)])


def _named(column: str) -> Callable[[Wanted], Select]:
    return lambda w: tracked(column, [w.matchers.get(EVENT, "")], "component", "")(w)


def _groups(column: str) -> Callable[[Wanted], Select]:
    sql = (
        f"SELECT component_id AS subject, date_trunc('minute', {column}, 'UTC') AS at, '' AS key, 1 AS n, "  # noqa: S608
        f"0 AS failed FROM errors_errorgroup WHERE {column} >= %s AND {column} < %s AND component_id = ANY(%s) "
        "AND severity = ANY(%s) AND NOT backfilled AND status <> 'ignored'"
    )
    return lambda w: (sql, [w.start, w.end, list(w.subjects), list(w.severities)])


def _database_kinds(w: Wanted) -> Select:
    sql = (
        "SELECT g.component_id AS subject, h.hour AS at, g.id::text AS key, h.n, 0 AS failed "
        "FROM errors_grouphour h JOIN errors_errorgroup g ON g.id = h.group_id WHERE h.hour >= %s AND h.hour < %s "
        "AND g.component_id = ANY(%s) AND g.severity = ANY(%s) AND g.error_type = %s AND g.status <> 'ignored'"
    )
    return sql, [w.start, w.end, list(w.subjects), list(w.severities), DATABASE_CONNECTION]


def _sessions(w: Wanted) -> Select:
    sql = (
        "SELECT project_id AS subject, hour AS at, '' AS key, healthy + errored + abnormal + crashed AS n, "
        "crashed AS failed FROM telemetry_sessionhour WHERE hour >= %s AND hour < %s AND project_id = ANY(%s) "
        "AND (%s = '' OR release = %s) AND (%s = '' OR environment = %s)"
    )
    release, environment = w.matchers.get(RELEASE, ""), w.matchers.get(ENVIRONMENT, "")
    return sql, [w.start, w.end, list(w.subjects), release, release, environment, environment]


def _lockouts(w: Wanted) -> Select:
    """Ids begin with their time; the portal is subject 0."""
    sql = (
        "SELECT 0 AS subject, date_trunc('minute', occurred_at, 'UTC') AS at, '' AS key, 1 AS n, 0 AS failed "
        "FROM audit_auditevent WHERE action = 'security.lockout' AND id >= %s AND id < %s"
    )
    return sql, [uuid_floor(w.start), uuid_floor(w.end)]


# --- By measure ---------------------------------------------------------------------------------------------
def _counts(told: tuple[str, ...] = ()) -> Source:
    minutes, hours = _errors("errors_errorminute", MINUTE), _errors("errors_errorhour", HOUR)
    return Source(lambda _: windows.total, minutes, hours, told=told)


def _shares(read: Read, key: str = "''", told: tuple[str, ...] = ()) -> Source:
    return Source(lambda _: read, _requests(MINUTE, key), _requests(HOUR, key), _request_days, told)


def _request_days() -> int:
    return int(settings.REQUEST_RETENTION_DAYS)


def _latency(q: float) -> Source:
    return Source(lambda _: windows.percentile(q), _durations(MINUTE), _durations(HOUR), _request_days)


_TOTAL: Callable[[float], Read] = lambda _: windows.total  # noqa: E731
registry: dict[str, Source] = {
    "errorCount": _counts(),
    "errorsPerMinute": Source(
        windows.per_minute, _errors("errors_errorminute", MINUTE), _errors("errors_errorhour", HOUR)
    ),
    "seriousErrors": _counts(),
    "criticalErrors": _counts((known_events.STRIPE_CHECKOUT_ERROR,)),
    "errorRate": _shares(windows.failed_percent),
    "systemFailureRate": _shares(windows.failed_percent, told=(known_events.AUTH_SYSTEM_FAILURE,)),
    "endpointFailureRate": _shares(windows.worst_percent, "endpoint"),
    **{f"latencyP{q}": _latency(q / 100) for q in (50, 95, 99)},
    "newGroups": Source(_TOTAL, _groups("first_seen"), None, lambda: 3650),
    "regressedGroups": Source(_TOTAL, _groups("regressed_at"), None, lambda: 3650),
    "databaseConnectionErrors": Source(
        lambda _: windows.distinct(1), None, _database_kinds, told=(known_events.DB_POOL_ERROR,)
    ),
    "failingEndpoints": Source(
        lambda _: windows.distinct(CASCADE_ENDPOINTS), _failing_endpoints(MINUTE), _failing_endpoints(HOUR),
        told=(known_events.CASCADE_FAILURE_DETECTED,),
    ),
    "applicationLockouts": Source(
        _TOTAL, tracked(MINUTE, [known_events.SECURITY_INCIDENT_LOCKOUT], "component"),
        tracked(HOUR, [known_events.SECURITY_INCIDENT_LOCKOUT], "component"),
    ),
    "trackedEvents": Source(_TOTAL, _named(MINUTE), _named(HOUR)),
    "crashFreeRate": Source(lambda _: windows.without_crash_percent, None, _sessions),
    "lockouts": Source(_TOTAL, _lockouts, None, lambda: 3650),
}  # fmt: skip


def source_of(measure: str) -> Source | None:
    """None where nothing of the past is kept, as of affected users, of whom only the last time is known."""
    return registry.get(measure)


def severities_of(measure: measures.Measure, record_severity: str) -> Sequence[str]:
    """Which records count: the one that the rule names, or all that the measure knows."""
    return (record_severity,) if record_severity else measure.severities
