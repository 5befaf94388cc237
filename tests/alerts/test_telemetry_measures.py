"""Rules over requests and tracked events: shares with their denominator, latencies, and what applications say."""

import math

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts import builtin, measures, watch
from apps.alerts.models import Alert, RuleState
from apps.projects.intake import Intake
from apps.telemetry import histogram, tracked, transactions
from apps.telemetry.known_events import PAGING
from apps.telemetry.storing import store_batch
from tests.alerts.make import (
    NOW,
    at,
    make_component,
    make_errors,
    make_project,
    make_requests,
    make_rule,
    make_tracked_minute,
    make_user,
)

pytestmark = pytest.mark.django_db


def asked(condition, **facts):
    """Subject → (value, volume)."""
    rule = make_rule(condition, **facts)
    measure = measures.registry[watch.terms_of(rule).condition.measure]
    return {k: (v.value, v.volume) for k, v in measures.ask(measure, [rule], NOW)[rule.pk].items()}


def with_durations(*durations_ms):
    return {
        "timed": len(durations_ms),
        "durations": histogram.as_json(histogram.counted(durations_ms)),
    }


def test_the_error_rate_is_failed_requests_in_percent_of_all_within_the_window():
    pay, journal = make_component("Payments"), make_component("Journal")
    make_requests(30, 3, pay, "/a")
    make_requests(10, 1, pay, "/b", at(-200))
    make_requests(500, 500, pay, "/a", at(-400))
    make_requests(10, 0, journal)
    make_requests(50, 50, journal, kind="task")
    make_requests(0, 0, make_component("Timed only"), timed=7)
    assert asked("errorRate > 5") == {pay.pk: (10.0, 40), journal.pk: (0.0, 10)}


def test_an_error_rate_fires_above_its_threshold_and_not_with_too_few_requests():
    rule = make_rule("errorRate > 5", minimum=20)
    make_requests(19, 19, make_component("Journal"))
    make_requests(100, 6, make_component("Payments"))
    make_requests(100, 5, make_component("Profile"))
    watch.watch(now=NOW)
    alert = Alert.objects.get()
    assert (alert.component.name, alert.value) == ("Payments", 6.0)
    assert alert.sentence == "Failed requests (%) in Payments: 6 within 5 min (rule: > 5)."
    journal = RuleState.objects.get(rule=rule, subject=f"component:{make_component('Journal').pk}")
    assert journal.value is None


def test_the_worst_endpoint_of_a_component_is_found_among_those_that_say_something():
    component = make_component()
    make_requests(4, 4, component, "/rare")
    make_requests(20, 10, component, "/half")
    make_requests(1000, 100, component, "/busy")
    assert asked("endpointFailureRate > 40") == {component.pk: (50.0, 20)}
    assert asked("errorRate > 5")[component.pk][1] == 1024


@pytest.mark.parametrize(("measure", "q"), [("latencyP50", 0.5), ("latencyP95", 0.95), ("latencyP99", 0.99)])
def test_a_latency_is_the_percentile_of_all_requests_together_not_a_mean_of_percentiles(measure, q):
    component = make_component()
    fast, slow = [10.0] * 90, [1000.0 + n for n in range(10)]
    make_requests(90, component=component, endpoint="/fast", **with_durations(*fast))
    make_requests(10, component=component, endpoint="/slow", minute=at(-60), **with_durations(*slow))
    value, volume = asked(f"{measure} > 100")[component.pk]
    assert value == pytest.approx(sorted(fast + slow)[math.floor(q * 99)], rel=0.02)
    assert volume == 100


def test_without_a_duration_there_is_no_latency():
    make_requests(10)
    assert asked("latencyP95 > 1") == {}


def test_the_number_of_queries_does_not_grow_with_rules_and_components():
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as context:
            watch.evaluate(now=NOW)
        return sum("telemetry_" in q["sql"] for q in context)

    make_rule("errorRate > 99")
    make_rule("latencyP95 > 99999")
    make_requests(10, **with_durations(5.0))
    before = queries()
    for number in range(5):
        make_rule("errorRate > 98", window_s=60 * (number + 2))
        make_requests(10, component=make_component(f"C{number}"))
    assert queries() == before == 2


# --- What applications say themselves ---
SAID = {
    "db_pool_error": "database-connections",
    "auth_system_failure": "authentication-requests",
    "stripe_checkout_error": "payment-failures",
    "cascade_failure_detected": "cascade",
    "security_incident_lockout": "application-lockout",
}


def intake_of(project, number=0):
    return Intake(project_id=project.pk, received_at=NOW, hash_key=b"k", event_id=f"{number + 1:032x}")


def fired():
    watch.watch(now=at(5))
    return set(Alert.objects.values_list("rule__code", flat=True))


@pytest.mark.parametrize("name", PAGING)
def test_each_of_the_five_events_fires_its_builtin_rule_and_pages(name):
    make_user(is_superuser=True)
    builtin.ensure_builtin_rules()
    body = {"event": name, "data": {"ip": "203.0.113.9", "component": "Mallory's"}}
    store_batch(tracked=[tracked.from_body(body, intake_of(make_project()))])
    assert fired() == {SAID[name]}
    assert Alert.objects.get().incident.state == "triage"


def test_events_of_ten_minutes_ago_fire_nothing():
    builtin.ensure_builtin_rules()
    for name in PAGING:
        make_tracked_minute(name, make_component("Authentication"), minute=at(-600))
    assert fired() == set()


def test_other_events_fire_no_builtin_rule():
    builtin.ensure_builtin_rules()
    for n, name in enumerate(("client_error", "data_consistency_error", "basket_error")):
        data = {"message": "no", "expected": 1, "actual": 2}
        store_batch(tracked=[tracked.from_body({"event": name, "data": data}, intake_of(make_project(), n))])
    assert fired() == set()


def transaction(code, number):
    contexts = {"trace": {"op": "http.server"}, "response": {"status_code": code}}
    body = {
        "transaction": "/auth/login", "contexts": contexts, "timestamp": NOW.timestamp() - 9,
        "start_timestamp": NOW.timestamp() - 10, "tags": {"component": "Authentication"}, "event_id": f"{number:032x}",
    }  # fmt: skip
    return transactions.from_sentry(body, intake_of(make_project(), number))


@pytest.mark.parametrize(
    ("codes", "fires"),
    [
        ([500, 500, 500, 200, 200], True),
        ([503, 200, 500, 401, 200, 502], True),
        ([500, 500, 500, 500], False),  # fewer than five requests
        ([500, 500, 200, 200, 200], False),
        ([401] * 20, False),  # refused is not failed
    ],
)
def test_authentication_is_down_when_half_of_at_least_five_requests_end_with_5xx(codes, fires):
    builtin.ensure_builtin_rules()
    store_batch(requests=[transaction(code, n) for n, code in enumerate(codes, 1)])
    assert fired() == ({"authentication-requests"} if fires else set())


def test_the_same_share_elsewhere_does_not_fire_the_rule_of_authentication():
    builtin.ensure_builtin_rules()
    make_requests(10, 9, make_component("Journal"))
    assert fired() == set()


def test_what_is_counted_and_what_is_said_add_up_for_counts_and_the_worse_stands_for_shares():
    pay, auth = make_component("Payments"), make_component("Authentication")
    make_errors(2, pay, severity="Critical")
    make_tracked_minute("stripe_checkout_error", pay, 3)
    assert asked("criticalErrors >= 1") == {pay.pk: (5.0, 5)}
    make_requests(10, 1, auth)
    assert asked("systemFailureRate >= 50") == {auth.pk: (10.0, 10)}
    make_tracked_minute("auth_system_failure", auth)
    assert asked("systemFailureRate >= 50")[auth.pk][0] == 100.0
    assert asked("errorRate >= 50") == {auth.pk: (10.0, 10)}


def test_an_incident_began_with_the_first_failed_request_or_event():
    component = make_component()
    make_requests(10, 0, component, minute=at(-240))
    make_requests(10, 8, component, minute=at(-180))
    make_requests(10, 9, component)
    make_rule("errorRate > 50")
    watch.watch(now=NOW)
    assert Alert.objects.get().first_seen_at == at(-180).replace(second=0)


def test_an_application_that_is_quiet_again_resolves_its_lockout():
    builtin.ensure_builtin_rules()
    make_tracked_minute("security_incident_lockout", make_component("Authentication"))
    watch.watch(now=at(5))
    watch.watch(now=at(400))
    watch.watch(now=at(1400))
    assert Alert.objects.get().state == "resolved"
