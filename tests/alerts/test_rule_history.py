"""What a rule would have done: the replay of stored rollups against the watch tick that really ran."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts import measures, watch
from apps.alerts.models import Alert
from apps.alerts.rule_history import history as rule_history
from apps.alerts.rule_history import sources
from apps.errors.models import ErrorHour
from apps.telemetry import histogram
from apps.telemetry.models import RequestHour, SessionHour
from tests.alerts.make import NOW as EXACTLY
from tests.alerts.make import (
    make_component,
    make_errors,
    make_failing_endpoint,
    make_group,
    make_requests,
    make_rule,
    make_tracked_minute,
)

pytestmark = pytest.mark.django_db
NOW = EXACTLY.replace(second=0)
MINUTE = timedelta(minutes=1)


def replayed(rule, now=NOW, **more):
    return rule_history.history(rule, watch.terms_of(rule), now=now, **more)


def spans(made):
    return sorted((made.names[e.subject].split(" · ")[-1], e.fired_at, e.resolved_at) for e in made.episodes)


def errors(rng, minute):
    for name in ("Payments", "Journal"):
        if rng.random() < 0.5:
            severity = rng.choice(("Critical", "Major", "Minor"))
            make_errors(rng.randint(1, 6), make_component(name), minute, severity)


def requests(rng, minute):
    for name, endpoint in (("Payments", "/pay"), ("Payments", "/cart"), ("Journal", "/read")):
        if rng.random() < 0.6:
            n = rng.randint(1, 20)
            make_requests(
                n, rng.randint(0, n // 2), make_component(name), endpoint, minute, timed=n,
                durations=histogram.as_json(histogram.counted([rng.choice((20.0, 900.0)) for _ in range(n)])),
            )  # fmt: skip


def endpoints(rng, minute):
    for number in range(3):
        if rng.random() < 0.25:
            make_failing_endpoint(f"/{number}", minute=minute)


def tracked(name):
    def make(rng, minute):
        if rng.random() < 0.15:
            make_tracked_minute(name, make_component("Payments"), rng.randint(1, 3), minute)

    return make


def both(*makers):
    return lambda rng, minute: [make(rng, minute) for make in makers]


def groups(rng, minute):
    if rng.random() < 0.1:
        make_group(first_seen=minute + timedelta(seconds=20))


CASES = [
    (errors, {"condition": "errorCount > 8"}),
    (errors, {"condition": "errorCount > 4", "for_s": 120, "resolve_after_s": 180}),
    (errors, {"condition": "errorCount >= 1", "record_severity": "Critical", "window_s": 90}),
    (errors, {"condition": "errorsPerMinute > 1.5", "minimum": 3}),
    (errors, {"condition": "errorCount < 3", "component_name": "Payments", "for_s": 60}),
    (both(errors, tracked("stripe_checkout_error")), {"condition": "criticalErrors >= 3", "window_s": 120}),
    (requests, {"condition": "errorRate > 25", "window_s": 120, "minimum": 10}),
    (requests, {"condition": "errorRate > 25", "matchers": {"endpoint": "/pay"}, "for_s": 60}),
    (requests, {"condition": "endpointFailureRate > 40", "window_s": 120}),
    (requests, {"condition": "latencyP50 > 500", "window_s": 60, "minimum": 5}),
    (
        both(requests, tracked("auth_system_failure")),
        {"condition": "systemFailureRate >= 50", "window_s": 60, "minimum": 5},
    ),
    (both(endpoints, tracked("cascade_failure_detected")), {"condition": "failingEndpoints >= 3"}),
    (groups, {"condition": "newGroups >= 1", "window_s": 180}),
    (tracked("sync_error"), {"condition": "trackedEvents >= 2", "matchers": {"event": "sync_error"}}),
    (tracked("security_incident_lockout"), {"condition": "applicationLockouts >= 1"}),
]


@pytest.mark.parametrize(("make", "facts"), CASES, ids=[facts["condition"] for _, facts in CASES])
def test_the_replay_is_what_the_watch_tick_did(make, facts, settings):
    settings.FLAP_CYCLES = 1000  # what flaps is held back, which a history of the rule alone does not know
    rule, rng = make_rule(**{"resolve_after_s": 60, **facts}), random.Random(7)
    begun = NOW - 90 * MINUTE
    for minute in range(90):
        make(rng, begun + minute * MINUTE)
        watch.evaluate(now=begun + (minute + 1) * MINUTE)
    lived = sorted(
        (a.component.name if a.component else a.project.name, a.triggered_at, a.resolved_at)
        for a in Alert.objects.filter(rule=rule)
    )  # fmt: skip
    assert lived, "the case must fire"
    assert spans(replayed(rule)) == lived


def test_every_measure_has_a_past_or_is_known_to_have_none():
    assert set(measures.registry) - set(sources.registry) == {"affectedUsers"}
    made = replayed(make_rule("affectedUsers > 5"))
    assert "nothing to replay" in made.unknown and not made.episodes


def test_before_the_minutes_are_the_hours(settings):
    settings.REQUEST_RETENTION_DAYS = 14
    component = make_component()
    hour = (NOW - timedelta(days=20)).replace(minute=0)
    RequestHour.objects.create(
        project=component.project, component=component, hour=hour, kind="request", endpoint="/pay", n=100, failed=50
    )  # fmt: skip
    make_requests(10, 9, component, minute=NOW - timedelta(days=2))
    made = replayed(make_rule("errorRate > 25", resolve_after_s=60))
    assert [e.fired_at for e in made.episodes] == [
        NOW - timedelta(days=2) + MINUTE,
        hour + timedelta(hours=1),
    ]
    assert NOW - timedelta(days=14) <= made.minutes_from <= NOW - timedelta(days=13, hours=22)


def test_where_there_are_too_many_minutes_the_newest_are_read_and_hours_before(monkeypatch):
    monkeypatch.setattr(rule_history, "MOST_ROWS", 50)
    component = make_component()
    for minute in range(100):
        make_errors(1, component, NOW - (minute + 1) * MINUTE)
    ErrorHour.objects.create(
        project=component.project, component=component, hour=NOW - timedelta(hours=5), severity="Major", n=40,
        impacting=0,
    )  # fmt: skip
    made = replayed(make_rule("errorCount > 30"))
    assert made.minutes_from == NOW  # 50 minutes lie within the hour that is not whole
    assert [e.fired_at for e in made.episodes] == [NOW - timedelta(hours=4)]


def test_sessions_are_replayed_by_the_hour():
    component = make_component()
    for hours, crashed in ((5, 0), (4, 30), (3, 30), (2, 0), (1, 0)):
        SessionHour.objects.create(
            project=component.project,
            hour=NOW - timedelta(hours=hours),
            healthy=100 - crashed,
            crashed=crashed,
        )
    made = replayed(make_rule("crashFreeRate < 95", window_s=3600))
    assert made.minutes_from is None
    assert spans(made) == [("Shop", NOW - timedelta(hours=3), NOW)]


def test_a_named_component_without_data_is_judged_and_others_are_not():
    make_component("Journal")
    rule = make_rule("errorCount < 1", component=make_component("Payments"))
    (one,) = replayed(rule).episodes
    assert one.resolved_at is None
    assert replayed(make_rule("errorCount < 1")).episodes == []


def test_the_statements_are_few_whatever_there_is():
    rule = make_rule("criticalErrors >= 1")
    with CaptureQueriesContext(connection) as before:
        replayed(rule)
    for number in range(5):
        for minute in range(20):
            make_errors(1, make_component(f"C{number}"), NOW - minute * 97 * MINUTE, "Critical")
    with CaptureQueriesContext(connection) as after:
        assert replayed(rule).episodes
    assert len(after) == len(before) <= 5


def test_columns_hold_the_value_nearest_to_firing():
    component = make_component()
    make_errors(7, component, NOW - timedelta(days=10, minutes=2))
    make_errors(3, component, NOW - timedelta(days=10, minutes=3))
    made = replayed(make_rule("errorCount > 30"))
    values = rule_history.columns(made, low=False, count=30)
    assert max(v for v in values if v is not None) == 10
    assert values.index(10) == 19 or values.index(10) == 20
    assert values[0] is None and values[-1] == 0
