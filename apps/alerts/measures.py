"""The measures that rules may ask for: each one query over rollups for all subjects of all rules that name it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, Sum

from apps.alerts import telemetry_measures
from apps.alerts.models import AlertRule
from apps.alerts.rules import Ask, Bounds, Reading
from apps.audit.models import AuditEvent
from apps.core.ids import uuid_floor
from apps.errors.models import EndpointMinute, ErrorGroup, ErrorMinute, GroupUser
from apps.telemetry import queries as telemetry
from apps.telemetry.known_events import (
    AUTH_SYSTEM_FAILURE,
    CASCADE_FAILURE_DETECTED,
    DB_POOL_ERROR,
    PAGING,
    SECURITY_INCIDENT_LOCKOUT,
    STRIPE_CHECKOUT_ERROR,
)

Answers = dict[str, Reading]
DATABASE_CONNECTION = "Database Connection Error"
PORTAL = "portal"
CASCADE_ENDPOINTS = 3  # what an application that reports a cascade has seen failing at least


@dataclass(frozen=True)
class Measure:
    """A named figure. `per` is component, project or portal; `answer(asks)` gives, for each ask, subject id → value.

    A value is a count, which is its own volume, or a Reading. `told` answers the same from events that applications
    track: counts are added, of shares the larger counts. `no_data`: no row means that nothing is known.
    `severities` of records that it can be narrowed to; `matchers`: what a rule may narrow it to; `needs`: the one it
    must name. `by_hour`: counted by whole hours.
    """

    name: str
    label: str
    unit: str
    per: str
    answer: Callable[[list[Ask]], Sequence[Mapping[int, float] | Mapping[int, Reading]]]
    bounds: Bounds = field(default_factory=Bounds)
    per_minute: bool = False
    no_data: bool = False
    told: Callable[[Sequence[Ask]], telemetry_measures.Answer] | None = None
    severities: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()
    needs: str = ""
    by_hour: bool = False


registry: dict[str, Measure] = {}


def choices() -> list[tuple[str, str]]:
    """For forms."""
    return [(m.name, m.label) for m in registry.values()]


def bounds() -> dict[str, Bounds]:
    """What the condition language needs to know of each measure."""
    return {name: m.bounds for name, m in registry.items()}


def since(rule: AlertRule, now: datetime) -> datetime:
    """The first minute that counts. Rollups are by minute: the one in which the window begins counts whole."""
    return (now - timedelta(seconds=rule.window_s)).replace(second=0, microsecond=0)


def ask_of(rule: AlertRule, now: datetime) -> Ask:
    """What a rule wants to know as of now."""
    return Ask(since(rule, now), rule.record_severity, tuple(sorted(rule.matchers.items())))


def ask(measure: Measure, rules: Iterable[AlertRule], now: datetime) -> dict[int, dict[int, Reading]]:
    """Rule id → subject id → reading, in a query or two however many rules and subjects there are."""
    rules = list(rules)
    wanted = {rule.pk: ask_of(rule, now) for rule in rules}
    asks = list(dict.fromkeys(wanted.values()))
    if not rules:
        return {}
    answers = dict(zip(asks, _answers(measure, asks), strict=True))
    found = {}
    for rule in rules:
        readings = answers[wanted[rule.pk]]
        if measure.per_minute:
            readings = {
                pk: Reading((r.value or 0) * 60 / rule.window_s, r.volume) for pk, r in readings.items()
            }
        found[rule.pk] = readings
    return found


def _answers(measure: Measure, asks: list[Ask]) -> list[dict[int, Reading]]:
    """For each ask the readings, with what applications told themselves."""
    answers = [
        {pk: n if isinstance(n, Reading) else Reading(float(n), n) for pk, n in values.items()}
        for values in measure.answer(asks)
    ]
    if measure.told:
        for answer, told in zip(answers, measure.told(asks), strict=True):
            for pk, reading in told.items():
                answer[pk] = _joined(answer.get(pk), reading, measure.bounds.ratio)
    return answers


def _joined(counted: Reading | None, told: Reading, is_share: bool) -> Reading:
    if counted is None or counted.value is None or told.value is None:
        return told
    if is_share:
        return max(counted, told, key=lambda reading: (reading.value or 0, reading.volume))
    return Reading(counted.value + told.value, counted.volume + told.volume)


def zero(measure: Measure) -> Reading:
    """What no row means: nothing happened, or nothing is known."""
    return Reading(None) if measure.no_data else Reading(0.0, 0)


def _conditional(
    asks: list[Ask], time_field: str, severity_field: str, make: Callable[[Q], Any]
) -> dict[str, Any]:
    """One aggregate per ask, named a0, a1 and so on."""
    found = {}
    for number, one in enumerate(asks):
        wanted = Q(**{f"{time_field}__gte": one.since})
        found[f"a{number}"] = make(wanted & Q(**{severity_field: one.severity}) if one.severity else wanted)
    return found


def _columns(rows: Iterable[Mapping[str, Any]], subject: str, asks: list[Ask]) -> list[Mapping[int, float]]:
    rows = list(rows)
    return [{row[subject]: float(row[f"a{n}"]) for row in rows if row[f"a{n}"]} for n in range(len(asks))]


def _errors(only: Q) -> Callable[[list[Ask]], list[Mapping[int, float]]]:
    def answer(asks: list[Ask]) -> list[Mapping[int, float]]:
        sums = _conditional(asks, "minute", "severity", lambda wanted: Sum("n", filter=wanted))
        rows = ErrorMinute.objects.filter(only, minute__gte=min(one.since for one in asks))
        return _columns(rows.values("component_id").annotate(**sums), "component_id", asks)

    return answer


def _groups(time_field: str, only: Q) -> Callable[[list[Ask]], list[Mapping[int, float]]]:
    def answer(asks: list[Ask]) -> list[Mapping[int, float]]:
        counts = _conditional(asks, time_field, "severity", lambda wanted: Count("pk", filter=wanted))
        recent = Q(**{f"{time_field}__gte": min(one.since for one in asks)})
        rows = ErrorGroup.objects.filter(only, recent, backfilled=False).exclude(status="ignored").order_by()
        return _columns(rows.values("component_id").annotate(**counts), "component_id", asks)

    return answer


def _users(asks: list[Ask]) -> list[Mapping[int, float]]:
    counts = _conditional(
        asks, "last_seen", "group__severity", lambda wanted: Count("user_hash", filter=wanted, distinct=True)
    )
    start = min(one.since for one in asks)
    rows = GroupUser.objects.filter(last_seen__gte=start, group__last_seen__gte=start)
    return _columns(rows.values("group__component_id").annotate(**counts), "group__component_id", asks)


def _endpoints(asks: list[Ask]) -> list[Mapping[int, float]]:
    counts = {
        f"a{n}": Count("endpoint", filter=Q(minute__gte=one.since), distinct=True)
        for n, one in enumerate(asks)
    }
    rows = EndpointMinute.objects.filter(minute__gte=min(one.since for one in asks)).exclude(endpoint="")
    return _columns(rows.values("project_id").annotate(**counts), "project_id", asks)


def _lockouts(asks: list[Ask]) -> list[Mapping[int, float]]:
    """Ids begin with their time: the bound on the id lets old partitions be left alone."""
    counts = {f"a{n}": Count("pk", filter=Q(id__gte=uuid_floor(one.since))) for n, one in enumerate(asks)}
    start = uuid_floor(min(one.since for one in asks))
    found = AuditEvent.objects.filter(action="security.lockout", id__gte=start).aggregate(**counts)
    return [{0: float(found[f"a{n}"])} if found[f"a{n}"] else {} for n in range(len(asks))]


def began_at(subject_kind: str, subject: int, start: datetime) -> datetime | None:
    """When the first of the counted failures happened, for the incident's "began"; by the minute."""
    if subject_kind == PORTAL:
        return None
    model, column = (ErrorMinute, "component") if subject_kind == "component" else (EndpointMinute, "project")
    rows: Any = model
    errors = rows.objects.filter(**{column: subject, "minute__gte": start}).aggregate(at=Min("minute"))["at"]
    requests = telemetry.first_failure(subject_kind, subject, start, PAGING)
    return min((at for at in (errors, requests) if at), default=None)


_CRITICAL, _SERIOUS, _ALL = ("Critical",), ("Critical", "Major"), ("Critical", "Major", "Minor")
_PERCENT = Bounds(high=100, whole=False, ratio=True, unit="%")
# Like a share, a percentile of few requests is no evidence.
_MILLISECONDS = Bounds(whole=False, ratio=True, unit="ms")
_ENDPOINT = (telemetry_measures.ENDPOINT,)
for _measure in (
    Measure("errorCount", "Errors", "errors", "component", _errors(Q()), severities=_ALL),
    Measure("errorsPerMinute", "Errors per minute", "errors/min", "component", _errors(Q()),
            Bounds(whole=False), per_minute=True, severities=_ALL),
    Measure("seriousErrors", "Major and Critical errors", "errors", "component", _errors(Q(severity__in=_SERIOUS)),
            severities=_SERIOUS),
    Measure("criticalErrors", "Critical errors", "errors", "component", _errors(Q(severity="Critical")),
            severities=_CRITICAL, told=telemetry_measures.times([STRIPE_CHECKOUT_ERROR])),
    Measure("errorRate", "Failed requests (%)", "%", "component", telemetry_measures.error_rate,
            _PERCENT, no_data=True, matchers=_ENDPOINT),
    Measure("endpointFailureRate", "Failed requests of the worst endpoint (%)", "%", "component",
            telemetry_measures.endpoint_failure_rate, _PERCENT, no_data=True),
    Measure("systemFailureRate", "Failed requests (%), or all as the application says itself", "%", "component",
            telemetry_measures.error_rate, _PERCENT, no_data=True,
            told=telemetry_measures.certain([AUTH_SYSTEM_FAILURE], 100.0)),
    *(Measure(f"latencyP{q}", f"Latency, percentile {q} (ms)", "ms", "component",
              telemetry_measures.latency(q / 100), _MILLISECONDS, no_data=True, matchers=_ENDPOINT)
      for q in (50, 95, 99)),
    Measure("newGroups", "New error groups", "groups", "component", _groups("first_seen", Q()), severities=_ALL),
    Measure("regressedGroups", "Regressed error groups", "groups", "component", _groups("regressed_at", Q()),
            severities=_ALL),
    Measure("databaseConnectionErrors", "Kinds of database connection error seen", "kinds", "component",
            _groups("last_seen", Q(error_type=DATABASE_CONNECTION)), severities=_ALL,
            told=telemetry_measures.times([DB_POOL_ERROR])),
    Measure("affectedUsers", "Distinct users hit", "users", "component", _users, severities=_ALL),
    Measure("failingEndpoints", "Distinct failing endpoints", "endpoints", "project", _endpoints,
            told=telemetry_measures.times([CASCADE_FAILURE_DETECTED], CASCADE_ENDPOINTS, "project")),
    Measure("applicationLockouts", "Lock-outs that applications report", "lock-outs", "component",
            telemetry_measures.times([SECURITY_INCIDENT_LOCKOUT])),
    Measure("trackedEvents", "Tracked events of one name", "events", "component", telemetry_measures.tracked_events,
            matchers=(telemetry_measures.EVENT,), needs=telemetry_measures.EVENT),
    Measure("crashFreeRate", "Sessions without a crash (%)", "%", "project", telemetry_measures.crash_free_rate,
            _PERCENT, no_data=True, matchers=(telemetry_measures.RELEASE, telemetry_measures.ENVIRONMENT),
            by_hour=True),
    Measure("lockouts", "Lock-outs from the portal", "lock-outs", PORTAL, _lockouts),
):  # fmt: skip
    registry[_measure.name] = _measure
