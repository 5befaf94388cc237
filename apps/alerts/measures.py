"""The measures that rules may ask for: each one query over rollups for all subjects of all rules that name it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, Sum

from apps.alerts.models import AlertRule
from apps.alerts.rules import Bounds, Reading
from apps.audit.models import AuditEvent
from apps.core.ids import uuid_floor
from apps.errors.models import EndpointMinute, ErrorGroup, ErrorMinute, GroupUser

Answers = dict[str, Reading]
DATABASE_CONNECTION = "Database Connection Error"
PORTAL = "portal"


@dataclass(frozen=True)
class Ask:
    """What a set of rules wants of a measure: since when, and counting only which severity of record."""

    since: datetime
    severity: str = ""


@dataclass(frozen=True)
class Measure:
    """A named figure. `per` is component, project or portal; `answer(asks)` gives, for each ask, subject id → value."""

    name: str
    label: str
    unit: str
    per: str
    answer: Callable[[list[Ask]], list[Mapping[int, float]]]
    bounds: Bounds = field(default_factory=Bounds)
    per_minute: bool = False
    no_data: bool = False


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


def ask(measure: Measure, rules: Iterable[AlertRule], now: datetime) -> dict[int, dict[int, Reading]]:
    """Rule id → subject id → reading, in one query however many rules and subjects there are."""
    rules = list(rules)
    asks = list(dict.fromkeys(Ask(since(rule, now), rule.record_severity) for rule in rules))
    if measure.no_data or not rules:
        return {rule.pk: {} for rule in rules}
    answers = dict(zip(asks, measure.answer(asks), strict=True))
    found = {}
    for rule in rules:
        values = answers[Ask(since(rule, now), rule.record_severity)]
        share = 60 / rule.window_s if measure.per_minute else 1
        found[rule.pk] = {subject: Reading(n * share, n) for subject, n in values.items()}
    return found


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


def _nothing(asks: list[Ask]) -> list[Mapping[int, float]]:
    return [{} for _ in asks]


def began_at(subject_kind: str, subject: int, start: datetime) -> datetime | None:
    """When the first of the counted failures happened, for the incident's "began"; by the minute."""
    if subject_kind == PORTAL:
        return None
    model, column = (ErrorMinute, "component") if subject_kind == "component" else (EndpointMinute, "project")
    rows: Any = model
    return rows.objects.filter(**{column: subject, "minute__gte": start}).aggregate(at=Min("minute"))["at"]


_SERIOUS = Q(severity__in=("Critical", "Major"))
for _measure in (
    Measure("errorCount", "Errors", "errors", "component", _errors(Q())),
    Measure("errorsPerMinute", "Errors per minute", "errors/min", "component", _errors(Q()),
            Bounds(whole=False), per_minute=True),
    Measure("seriousErrors", "Major and Critical errors", "errors", "component", _errors(_SERIOUS)),
    Measure("criticalErrors", "Critical errors", "errors", "component", _errors(Q(severity="Critical"))),
    Measure("errorRate", "Failed requests (%)", "%", "component", _nothing,
            Bounds(high=100, whole=False, ratio=True), no_data=True),  # until requests are counted
    Measure("newGroups", "New error groups", "groups", "component", _groups("first_seen", Q())),
    Measure("regressedGroups", "Regressed error groups", "groups", "component", _groups("regressed_at", Q())),
    Measure("databaseConnectionErrors", "Kinds of database connection error seen", "kinds", "component",
            _groups("last_seen", Q(error_type=DATABASE_CONNECTION))),
    Measure("affectedUsers", "Distinct users hit", "users", "component", _users),
    Measure("failingEndpoints", "Distinct failing endpoints", "endpoints", "project", _endpoints),
    Measure("lockouts", "Lock-outs from the portal", "lock-outs", PORTAL, _lockouts),
):  # fmt: skip
    registry[_measure.name] = _measure
