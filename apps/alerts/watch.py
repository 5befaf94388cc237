"""The watch tick: each rule asks its question of every subject, alerts are triggered and resolved.

A fixed number of queries, however many rules and components there are, plus a few for each alert that
changes.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection

from apps.alerts import builtin, following, measures, rule_checks, rules, services
from apps.alerts.measures import PORTAL, Measure
from apps.alerts.models import Alert, AlertRule, RuleState
from apps.alerts.rules import Memory, Reading, RuleRefused, Settled, Terms
from apps.alerts.services import Act, Fired
from apps.alerts.suppression import flapping, keeping
from apps.core.ticks import TickReport
from apps.incidents.models import Incident
from apps.projects.models import Component, Project
from apps.projects.services import create_project, ensure_component

log = structlog.get_logger("portal.alerts")
OWN_PROJECT = "Reliability portal"


@dataclass(frozen=True)
class Subject:
    """What a rule is asked of: a component, a project, or the portal itself."""

    kind: str
    id: int
    project: Project | None = None
    component: Component | None = None

    @property
    def key(self) -> str:
        """As rule states and deduplication keys name it."""
        return self.kind if self.kind == PORTAL else f"{self.kind}:{self.id}"

    def __str__(self) -> str:
        if self.kind == PORTAL:
            return "the portal"
        return str(self.component or self.project)


@dataclass(frozen=True)
class Question:
    """A rule whose condition was read."""

    rule: AlertRule
    measure: Measure
    terms: Terms


_SIGNS = {">=": "≥", "<=": "≤"}


def dedup_key(rule: AlertRule, subject_key: str) -> str:
    """One open alert per rule and subject."""
    return f"rule:{rule.pk}:{subject_key}"


def watch(*, now: datetime) -> TickReport:
    """Everything that is decided every few seconds; safe to run twice, late or never."""
    builtin.ensure_builtin_rules()
    asked, fired, resolved, unread = evaluate(now=now)
    followed = following.follow_incidents(now=now)
    adopted = following.adopt_incidents(policy=builtin.default_policy(), now=now)
    kept = keeping.keep(now=now)
    recount_incidents()
    said = f"{asked} rules: {fired} fired, {resolved} resolved"
    more = [
        (adopted, "opened by hand"),
        (followed, "followed their incident"),
        (unread, "rules unreadable"),
        (kept, "suppressions changed"),
    ]
    return TickReport("; ".join([said, *(f"{n} {what}" for n, what in more if n)]), rejected=unread)


# --- Rules --------------------------------------------------------------------------------------------------
def terms_of(rule: AlertRule) -> Terms:
    """The rule as the pure judge wants it; RuleRefused when its condition cannot be read."""
    return rule_checks.terms_of(vars(rule))


def evaluate(*, now: datetime) -> tuple[int, int, int, int]:
    """Ask every enabled rule: (rules asked, alerts fired, alerts resolved, rules that could not be read)."""
    questions, unread = _questions()
    states, subjects = _states(questions), Subjects.load()
    fired = resolved = 0
    memories: list[RuleState] = []
    by_measure: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_measure[question.measure.name].append(question)
    firing, settled = _open_alerts(), _settled(questions, now)
    for group in by_measure.values():
        readings = measures.ask(group[0].measure, [q.rule for q in group], now)
        for question in group:
            for subject in subjects.of(question.rule, question.measure, readings[question.rule.pk], states):
                reading = readings[question.rule.pk].get(subject.id, measures.zero(question.measure))
                act = _judge(question, subject, reading, states, firing, settled, memories, now)
                fired, resolved = fired + (act == "fire"), resolved + (act == "resolve")
    _remember(memories)
    return len(questions), fired, resolved, unread


def _questions() -> tuple[list[Question], int]:
    found, unread = [], 0
    for rule in AlertRule.objects.filter(enabled=True).select_related("policy", "project", "component"):
        try:
            terms = terms_of(rule)
        except RuleRefused as refusal:
            log.warning("rule cannot be read", rule=rule.name, why=str(refusal))
            unread += 1
            continue
        found.append(Question(rule, measures.registry[terms.condition.measure], terms))
    return found, unread


States = dict[tuple[int, str], RuleState]


def _states(questions: list[Question]) -> States:
    held = RuleState.objects.filter(rule__in=[q.rule.pk for q in questions])
    return {(state.rule_id, state.subject): state for state in held}


def _open_alerts() -> dict[str, Alert]:
    """Open alerts of rules by their key."""
    return {a.dedup_key: a for a in Alert.objects.open().filter(rule__isnull=False)}


def _settled(questions: list[Question], now: datetime) -> dict[str, Settled]:
    """Alerts that people resolved within their rule's window: the facts they saw are no news."""
    windows = {q.rule.pk: timedelta(seconds=q.rule.window_s) for q in questions}
    if not windows:
        return {}
    recent = Alert.objects.filter(
        rule__in=windows, state="resolved", resolved_at__gte=now - max(windows.values())
    )
    found = {}
    for alert in recent.exclude(resolved_via__in=("recovery", flapping.STABLE)).order_by("resolved_at"):
        if alert.rule_id and alert.resolved_at:
            found[alert.dedup_key] = Settled(alert.resolved_at + windows[alert.rule_id], alert.value)
    return found


def _judge(
    question: Question, subject: Subject, reading: Reading, states: States, firing: dict[str, Alert],
    settled: dict[str, Settled], memories: list[RuleState], now: datetime,
) -> str:  # fmt: skip
    """Judge one subject, remember, act."""
    rule, key = question.rule, dedup_key(question.rule, subject.key)
    stored, alert = states.get((rule.pk, subject.key)), firing.get(key)
    previous = (
        Memory(stored.value, stored.seen_at, stored.holds_since, stored.quiet_since) if stored else Memory()
    )
    verdict = rules.judge(
        question.terms, previous, reading, now, firing=alert is not None, settled=settled.get(key)
    )
    memory = verdict.memory
    memories.append(
        RuleState(rule=rule, subject=subject.key, value=memory.value, seen_at=now,
                  holds_since=memory.holds_since, quiet_since=memory.quiet_since)
    )  # fmt: skip
    if verdict.act == "fire":
        services.trigger(fired=_fired(question, subject, reading, key, now), now=now)
    elif verdict.act == "still" and alert is not None and alert.suppressed:
        services.still_firing(alert=alert, value=reading.value, now=now)
    elif verdict.act == "still" and alert is not None and alert.value != reading.value:
        Alert.objects.filter(pk=alert.pk).update(value=reading.value, last_seen_at=now)
    elif verdict.act == "resolve" and alert is not None:
        services.resolve(alert=alert, act=Act(by=f"rule {rule.name}"[:150], at=now, via="recovery"))
    return verdict.act


def _fired(question: Question, subject: Subject, reading: Reading, key: str, now: datetime) -> Fired:
    rule, measure = question.rule, question.measure
    project, component = subject.project, subject.component
    if subject.kind == PORTAL or project is None:
        project = project or own_project()
        component = component or ensure_component(project=project, name="Authentication")
    began = measures.began_at(measure.per, subject.id, measures.since(rule, now))
    return Fired(
        key=key, title=f"{rule.name}: {subject}", severity=rule.severity, project=project,
        component=component, rule=rule, policy=rule.policy,
        sentence=sentence(question.terms, measure, rule, str(subject), reading),
        value=reading.value, labels={**rule.tags, "measure": measure.name}, first_seen_at=began,
        opens_incident=rule.opens_incident, reopen_within_s=rule.reopen_window_s,
    )  # fmt: skip


def sentence(terms: Terms, measure: Measure, rule: AlertRule, subject: str, reading: Reading) -> str:
    """Why it fired, with the figure and the threshold: "Critical errors in Payments: 6 within 5 min (rule: ≥ 1)."."""
    value = 0.0 if reading.value is None else reading.value
    window = f"{rule.window_s // 60} min" if rule.window_s % 60 == 0 else f"{rule.window_s} s"
    sort = f" ({rule.record_severity})" if rule.record_severity else ""
    limit = f"{_SIGNS.get(terms.condition.op, terms.condition.op)} {terms.condition.number:g}"
    return f"{measure.label}{sort} in {subject}: {value:g} within {window} (rule: {limit})."


def own_project() -> Project:
    """The portal itself as a project, made when it first has something to report."""
    return Project.objects.filter(name=OWN_PROJECT).first() or create_project(name=OWN_PROJECT)


def _remember(memories: list[RuleState]) -> None:
    RuleState.objects.bulk_create(
        memories, update_conflicts=True, unique_fields=("rule", "subject"),
        update_fields=("value", "seen_at", "holds_since", "quiet_since"), batch_size=1000,
    )  # fmt: skip


# --- Subjects -----------------------------------------------------------------------------------------------
@dataclass
class Subjects:
    """Components and projects by id, loaded once a tick."""

    components: dict[int, Component]
    projects: dict[int, Project]

    @classmethod
    def load(cls) -> "Subjects":
        """Two queries."""
        projects = Project.objects.in_bulk()
        components = Component.objects.in_bulk()
        for component in components.values():
            component.project = projects[component.project_id]
        return cls(components, projects)

    def of(
        self, rule: AlertRule, measure: Measure, readings: dict[int, Reading], states: States
    ) -> list[Subject]:
        """Whom to judge: what has a reading, what is remembered, and the one that the rule names."""
        remembered = {key for pk, key in states if pk == rule.pk}
        if measure.per == PORTAL:
            return [Subject(PORTAL, 0)]
        if measure.per == "project":
            return [
                self._project(pk)
                for pk in self.projects
                if self._asked(rule, pk, "project", readings, remembered)
            ]
        return [
            self._component(pk)
            for pk, component in self.components.items()
            if self._names(rule, component) and self._asked(rule, pk, "component", readings, remembered)
        ]

    def _names(self, rule: AlertRule, component: Component) -> bool:
        if rule.component_id and component.pk != rule.component_id:
            return False
        if rule.project_id and component.project_id != rule.project_id:
            return False
        return not rule.component_name or component.name == rule.component_name

    def _asked(
        self, rule: AlertRule, pk: int, kind: str, readings: dict[int, Reading], remembered: set[str]
    ) -> bool:
        if kind == "project" and rule.project_id and pk != rule.project_id:
            return False
        named = pk == (rule.component_id if kind == "component" else rule.project_id)
        return named or pk in readings or f"{kind}:{pk}" in remembered

    def _project(self, pk: int) -> Subject:
        return Subject("project", pk, self.projects[pk])

    def _component(self, pk: int) -> Subject:
        component = self.components[pk]
        return Subject("component", pk, component.project, component)


# --- Counters -----------------------------------------------------------------------------------------------
def recount_incidents() -> int:
    """Bring Incident.open_alerts in line where a concurrent change or a removal left it behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.id, count(a.id) FROM incidents_incident i LEFT JOIN alerts_alert a "
            "ON a.incident_id = i.id AND a.state <> 'resolved' "
            "WHERE i.open_alerts > 0 OR a.id IS NOT NULL GROUP BY i.id HAVING count(a.id) <> i.open_alerts"
        )
        wrong = cursor.fetchall()
    for incident in Incident.objects.filter(pk__in=[pk for pk, _ in wrong]):
        services.recount(incident=incident)
    return len(wrong)
