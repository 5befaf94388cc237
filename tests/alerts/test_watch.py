"""The watch tick: each measure, each built-in rule, firing and resolving; in a fixed number of queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts import builtin, measures, watch
from apps.alerts.models import Alert, AlertRule, Escalation, RuleState
from apps.alerts.services import Act, resolve, resolve_incident
from apps.audit import services as audit
from apps.core.ticks import database_now
from apps.errors.models import ErrorMinute, GroupUser
from apps.errors.records import from_record
from apps.errors.storing import store_batch
from apps.incidents.models import Incident
from apps.projects.intake import Intake
from tests.alerts.make import (
    NOW,
    at,
    make_component,
    make_errors,
    make_failing_endpoint,
    make_group,
    make_project,
    make_requests,
    make_rule,
    make_tracked_minute,
    make_user,
)

pytestmark = pytest.mark.django_db


def test_a_rule_fires_for_the_component_that_passes_it_and_for_no_other():
    rule = make_rule("errorCount > 10", severity="error")
    make_errors(11, make_component("Payments"))
    make_errors(10, make_component("Journal"))
    report = watch.watch(now=NOW)
    alert = Alert.objects.get()
    assert (alert.component.name, alert.value, alert.severity, alert.rule) == ("Payments", 11, "error", rule)
    assert alert.sentence == "Errors in Payments: 11 within 5 min (rule: > 10)."
    assert alert.first_seen_at == NOW.replace(second=0)
    assert "1 fired" in report.said
    assert Incident.objects.get().alerts.get() == alert


def test_it_fires_once_and_keeps_the_latest_value():
    make_rule("errorCount > 10")
    make_errors(11)
    watch.watch(now=NOW)
    make_errors(30, minute=at(60))
    watch.watch(now=at(60))
    watch.watch(now=at(60))
    alert = Alert.objects.get()
    assert (alert.count, alert.value) == (1, 41)


def test_it_resolves_after_quiet_and_leaves_the_incident_to_people():
    make_rule("errorCount > 10", resolve_after_s=120)
    make_errors(11)
    watch.watch(now=NOW)
    for seconds in (360, 370, 470):
        watch.watch(now=at(seconds))
        assert Alert.objects.get().state == "triggered"
    watch.watch(now=at(480))
    alert = Alert.objects.get()
    assert (alert.state, alert.resolved_via) == ("resolved", "recovery")
    assert Incident.objects.get().state == "triage"


def test_after_a_person_resolved_it_the_same_errors_do_not_fire_again_but_further_ones_do():
    make_rule("errorCount > 2")
    make_errors(3)
    watch.watch(now=NOW)
    resolve_incident(
        incident=Incident.objects.get(), act=Act("alice", at(5), actor=make_user(is_superuser=True))
    )
    watch.watch(now=at(10))
    assert Alert.objects.count() == 1
    ErrorMinute.objects.update(n=4)
    watch.watch(now=at(20))
    assert Alert.objects.count() == Incident.objects.count() == 2


def test_for_must_hold_without_a_gap():
    rule = make_rule("errorCount > 2", for_s=60)
    make_errors(3)
    for seconds, count in ((0, 0), (50, 0), (60, 1)):
        watch.watch(now=at(seconds))
        assert Alert.objects.count() == count
    assert RuleState.objects.get(rule=rule).holds_since == NOW


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"component_name": "Payments"}, {"Payments"}),
        ({}, {"Payments", "Journal"}),
        ({"enabled": False}, set()),
        ({"record_severity": "Critical"}, {"Journal"}),
    ],
)
def test_a_rule_speaks_of_the_components_it_names(facts, names):
    make_rule("errorCount >= 1", **facts)
    make_errors(5, make_component("Payments"), severity="Major")
    make_errors(5, make_component("Journal"), severity="Critical")
    watch.watch(now=NOW)
    assert set(Alert.objects.values_list("component__name", flat=True)) == names


def test_a_rule_may_name_one_component_or_one_project():
    other = make_component("Payments", make_project("Other"))
    make_errors(5, make_component("Payments"))
    make_errors(5, other)
    make_rule("errorCount >= 1", component=other)
    make_rule("errorCount >= 1", project=other.project)
    watch.watch(now=NOW)
    assert set(Alert.objects.values_list("component", flat=True)) == {other.pk}


def asked(condition, **facts):
    rule = make_rule(condition, **facts)
    measure = measures.registry[watch.terms_of(rule).condition.measure]
    return {k: v.value for k, v in measures.ask(measure, [rule], NOW)[rule.pk].items()}


def test_each_measure_counts_its_facts_within_its_window():
    component = make_component()
    make_errors(6, severity="Major")
    make_errors(4, severity="Critical", minute=at(-240))
    make_errors(99, severity="Critical", minute=at(-420))
    new = make_group()
    make_group(severity="Minor", first_seen=at(-600), last_seen=at(-1), regressed_at=at(-10))
    make_group(first_seen=at(-9000), last_seen=at(-10), error_type="Database Connection Error")
    make_group(backfilled=True)
    for group, user in ((new, "a"), (new, "b")):
        GroupUser.objects.create(group=group, user_hash=user, last_seen=at(-5))
    GroupUser.objects.create(
        group=make_group(first_seen=at(-900), last_seen=NOW), user_hash="b", last_seen=at(-5)
    )
    make_failing_endpoint("/pay")
    make_failing_endpoint("/pay", minute=at(-60))
    make_failing_endpoint("/cart")
    make_failing_endpoint("/old", minute=at(-600))
    audit.log_security_event(action="security.lockout", resource=("user", "x"), outcome="denied")
    assert asked("errorCount > 1") == {component.pk: 10}
    assert asked("errorsPerMinute > 1") == {component.pk: 2}
    assert asked("criticalErrors > 1") == {component.pk: 4}
    assert asked("seriousErrors > 1") == {component.pk: 10}
    assert asked("newGroups > 1") == {component.pk: 1}
    assert asked("newGroups > 1", record_severity="Minor") == {}
    assert asked("regressedGroups >= 1") == {component.pk: 1}
    assert asked("databaseConnectionErrors >= 1") == {component.pk: 1}
    assert asked("affectedUsers > 1") == {component.pk: 2}
    assert asked("failingEndpoints > 1") == {component.project_id: 2}
    assert asked("errorRate > 5") == {}


def test_an_error_rate_without_requests_is_no_data_and_never_fires():
    rule = make_rule("errorRate > 5", component=make_component())
    make_errors(1000)
    watch.watch(now=NOW)
    assert not Alert.objects.exists()
    assert RuleState.objects.get(rule=rule).value is None


def lock_out():
    audit.log_security_event(action="security.lockout", resource=("user", "x"), outcome="denied")


def group_of(kind):
    return lambda: make_group(make_component("Journal"), first_seen=at(-30), **kind)


BUILTIN = {
    "database-connections": lambda: make_group(
        make_component("Journal"), first_seen=at(-90_000), last_seen=at(-30),
        error_type="Database Connection Error",
    ),
    "authentication-down": lambda: make_errors(5, make_component("Authentication")),
    "authentication-requests": lambda: make_requests(6, 3, make_component("Authentication")),
    "application-lockout": lambda: make_tracked_minute("security_incident_lockout", make_component("Authentication")),
    "payment-failures": lambda: make_errors(1, make_component("Payments"), severity="Critical"),
    "cascade": lambda: [make_failing_endpoint(f"/{n}") for n in range(3)],
    "security-lockout": lock_out,
    "new-critical-group": group_of({"severity": "Critical"}),
    "new-major-group": group_of({"severity": "Major"}),
    "regressed-group": lambda: make_group(
        make_component("Journal"), first_seen=at(-90_000), last_seen=at(-30), regressed_at=at(-30)
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", BUILTIN)
def test_each_builtin_rule_fires_from_its_facts_and_pages(code, settings):
    make_user(is_superuser=True)
    builtin.ensure_builtin_rules()
    BUILTIN[code]()
    watch.watch(now=database_now() if code == "security-lockout" else NOW)
    alert = Alert.objects.get()
    assert alert.rule.code == code and alert.incident.state == "triage"
    assert Escalation.objects.get(alert=alert).state == "active"


REPORTED = {
    "database-connections": [("Journal", "Database Connection Error", "Major", "/journal")],
    "authentication-down": [("Authentication", "Server Error", "Major", "/login")] * 5,
    "payment-failures": [("Payments", "Server Error", "Critical", "/pay")],
    "cascade": [("API Services", "Server Error", "Minor", f"/{name}") for name in "abc"],
    "new-critical-group": [("Journal", "Server Error", "Critical", "/journal")],
    "new-major-group": [("Journal", "Server Error", "Major", "/journal")],
}


@pytest.mark.parametrize("code", REPORTED)
def test_a_builtin_rule_fires_from_records_as_they_are_really_stored(code):
    project = make_project()
    store_batch(events=[
        from_record(
            {"component": component, "errorType": kind, "severity": severity, "message": "it broke", "route": route},
            Intake(project_id=project.pk, received_at=NOW, hash_key=b"k", event_id=f"{n:032x}", source="server"),
        )
        for n, (component, kind, severity, route) in enumerate(REPORTED[code])
    ])  # fmt: skip
    watch.watch(now=at(5))
    assert code in set(Alert.objects.values_list("rule__code", flat=True))


def test_an_ignored_group_is_no_news():
    make_group(status="ignored", regressed_at=NOW)
    assert asked("newGroups >= 1") == asked("regressedGroups >= 1") == {}


def test_every_builtin_rule_has_its_test_and_can_be_read():
    builtin.ensure_builtin_rules()
    assert set(BUILTIN) == set(builtin.RULES)
    for rule in AlertRule.objects.all():
        rule.full_clean()
        watch.terms_of(rule)


def test_minor_errors_and_few_endpoints_fire_no_builtin_rule():
    builtin.ensure_builtin_rules()
    make_errors(50, make_component("Payments"), severity="Minor")
    make_errors(4, make_component("Authentication"))
    make_group(make_component("Journal"), severity="Minor")
    make_failing_endpoint("/a")
    make_failing_endpoint("/b")
    watch.watch(now=NOW)
    assert not Alert.objects.exists()


def test_a_lockout_belongs_to_the_portals_own_project():
    lock_out()
    now = database_now()
    watch.watch(now=now)
    watch.watch(now=now)
    alert = Alert.objects.get()
    assert (alert.project.name, alert.component.name) == ("Reliability portal", "Authentication")


def test_a_rule_that_cannot_be_read_stops_no_other():
    make_rule("nonsense")
    make_rule("errorCount > 1")
    make_errors(2)
    report = watch.watch(now=NOW)
    assert report.rejected == 1 and "1 rules unreadable" in report.said
    assert Alert.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_rules_and_components():
    builtin.ensure_builtin_rules()

    def queries():
        with CaptureQueriesContext(connection) as taken:
            watch.watch(now=NOW)
        return len(taken)

    make_rule("errorCount > 1000")
    make_errors(1, make_component("One"))
    queries()
    few = queries()
    for n in range(20):
        make_rule(f"errorCount > {1000 + n}", window_s=60 * (n % 5 + 1))
        make_errors(1, make_component(f"Part {n}"))
    queries()
    assert queries() == few
    assert RuleState.objects.count() > 400


def test_the_counter_of_open_alerts_is_brought_back_in_line():
    make_rule("errorCount > 1")
    make_errors(2)
    watch.watch(now=NOW)
    Incident.objects.update(open_alerts=9)
    watch.recount_incidents()
    assert Incident.objects.get().open_alerts == 1
    resolve(alert=Alert.objects.get(), act=Act("alice", NOW))
    assert Incident.objects.get().open_alerts == 0
    assert watch.recount_incidents() == 0
