"""Rules that cannot work: refused at their field with the reason, or saved with a warning."""

from datetime import timedelta

import pytest
from django.urls import reverse

from apps.alerts import measures, watch
from apps.alerts.forms import RuleForm
from apps.alerts.models import Alert, AlertRule
from apps.projects.models import ProjectKey
from apps.telemetry.models import SessionHour, TrackedHour
from tests.alerts.make import (
    NOW,
    at,
    make_component,
    make_policy,
    make_project,
    make_requests,
    make_rule,
    make_tracked_minute,
    make_user,
)

pytestmark = pytest.mark.django_db
RULE = {
    "name": "Mine", "condition": "errorCount > 5", "window_s": 300, "for_s": 0, "minimum": 0,
    "severity": "error", "resolve_after_s": 300, "tags": "{}", "enabled": "on",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"condition": "errorRat > 5"}, "condition", "Did you mean errorRate"),
        ({"condition": "errorCount > 5 ms"}, "condition", "errorCount has no unit"),
        ({"condition": "errorRate > 120%"}, "condition", "can never hold"),
        ({"condition": "errorCount < 5", "minimum": 5}, "minimum", "can never fire"),
        ({"condition": "errorCount == 3", "minimum": 4}, "minimum", "can never fire"),
        ({"matchers": "endpoint=/pay"}, "matchers", "errorCount cannot be narrowed by endpoint, by nothing"),
        (
            {"condition": "errorRate > 5", "matchers": "release=1.0"},
            "matchers",
            "errorRate cannot be narrowed by release, only by endpoint",
        ),
        ({"condition": "errorRate > 5", "matchers": "endpoint"}, "matchers", "one name=value a line"),
        (
            {"condition": "errorRate > 5", "matchers": "endpoint=/a\nendpoint=/b"},
            "matchers",
            "each name once",
        ),
        ({"condition": "errorRate > 5", "matchers": "endpoint=" + "x" * 201}, "matchers", "1 to 200"),
        ({"condition": "trackedEvents > 5"}, "matchers", "asks for one event"),
        ({"condition": "trackedEvents > 5", "matchers": "event=feature_used"}, "window_s", "by the hour"),
        ({"condition": "crashFreeRate < 99"}, "window_s", "by the hour"),
        ({"condition": "lockouts > 1", "component_name": "Payments"}, "component", "of the portal itself"),
        ({"condition": "failingEndpoints > 3", "component_name": "Payments"}, "component", "whole projects"),
        ({"condition": "errorRate > 5", "record_severity": "Minor"}, "record_severity", "it has none"),
        (
            {"condition": "criticalErrors > 5", "record_severity": "Minor"},
            "record_severity",
            "Critical alone",
        ),
    ],
)
def test_a_rule_that_can_never_fire_is_refused_at_its_field(given, field, said):
    form = RuleForm({**RULE, **given})
    assert not form.is_valid()
    assert said in form.errors[field][0]


@pytest.mark.parametrize(
    "given",
    [
        {"condition": "errorRate > 5"},
        {"condition": "errorRate > 5 %", "matchers": "endpoint=POST /pay=now"},
        {"condition": "latencyP95 > 1.5 s", "minimum": 20},
        {"condition": "errorCount < 5", "minimum": 4},
        {"condition": "trackedEvents > 5", "matchers": "event=sync_error"},
        {"condition": "trackedEvents > 5", "matchers": "event=feature_used", "window_s": 3600},
        {"condition": "crashFreeRate < 99.5%", "matchers": "release=1.0\nenvironment=live", "window_s": 7200},
        {"condition": "seriousErrors > 5", "record_severity": "Major"},
    ],
)
def test_a_rule_that_can_fire_is_taken(given):
    form = RuleForm({**RULE, **given})
    assert form.is_valid(), form.errors


def test_matchers_come_back_as_they_were_written(client):
    client.force_login(make_user(is_superuser=True, is_staff=True))
    given = {**RULE, "condition": "errorRate > 5", "matchers": "endpoint = POST /pay=now"}
    assert client.post(reverse("admin:alerts_alertrule_add"), given).status_code == 302
    rule = AlertRule.objects.get(name="Mine")
    assert rule.matchers == {"endpoint": "POST /pay=now"}
    page = client.get(reverse("admin:alerts_alertrule_change", args=[rule.pk])).content.decode()
    assert "endpoint=POST /pay=now</textarea>" in page


def warnings_of(client, **given):
    answer = client.post(reverse("admin:alerts_alertrule_add"), {**RULE, **given}, follow=True)
    assert answer.redirect_chain, answer.context["errors"]
    return [str(m) for m in answer.context["messages"] if m.level_tag == "warning"]


def test_what_is_seldom_meant_is_saved_with_a_warning(client):
    client.force_login(make_user(is_superuser=True, is_staff=True))
    policy, project = make_policy((0, make_user())), make_project()
    assert warnings_of(client, policy=policy.pk, project=project.pk) == [
        "Shop has no active key: nothing can report to it, so nothing fires."
    ]
    ProjectKey.objects.create(project=project, public_key="a" * 32)
    assert warnings_of(client, name="2", policy=policy.pk, project=project.pk) == []
    (burst, nobody) = warnings_of(client, name="3", for_s=900)
    assert "one burst, however large" in burst and "pages nobody" in nobody


# --- What matchers count ---
def asked(condition, **facts):
    rule = make_rule(condition, **facts)
    measure = measures.registry[watch.terms_of(rule).condition.measure]
    return {k: (v.value, v.volume) for k, v in measures.ask(measure, [rule], NOW)[rule.pk].items()}


def test_requests_are_counted_of_one_endpoint():
    component = make_component()
    make_requests(100, 0, component, "/home")
    make_requests(10, 5, component, "POST /pay")
    assert asked("errorRate > 5", matchers={"endpoint": "POST /pay"}) == {component.pk: (50.0, 10)}
    assert asked("errorRate > 5", matchers={"endpoint": "/none"}) == {}
    assert asked("errorRate > 4") == {component.pk: (pytest.approx(100 * 5 / 110), 110)}


def test_a_rule_of_one_endpoint_fires_for_it_and_not_beside_it():
    make_requests(10, 5, make_component(), "POST /pay")
    make_rule("errorRate > 5", matchers={"endpoint": "/home"})
    pay = make_rule("errorRate > 5", matchers={"endpoint": "POST /pay"})
    watch.watch(now=NOW)
    assert Alert.objects.get().rule == pay


def test_tracked_events_are_counted_by_name_within_the_window():
    component = make_component()
    make_tracked_minute("sync_error", component, 3)
    make_tracked_minute("sync_error", component, 9, minute=at(-600))
    make_tracked_minute("pay_error", component, 7)
    assert asked("trackedEvents > 1", matchers={"event": "sync_error"}) == {component.pk: (3.0, 3)}
    for hours, n in ((0, 4), (1, 2), (3, 99)):
        TrackedHour.objects.create(
            project=component.project, component=component, name="feature_used", n=n,
            hour=(NOW - timedelta(hours=hours)).replace(minute=0, second=0),
        )  # fmt: skip
    used = asked("trackedEvents > 1", matchers={"event": "feature_used"}, window_s=3600)
    assert used == {component.pk: (6.0, 6)}


def test_crash_free_sessions_are_counted_by_release_and_environment():
    project, hour = make_project(), NOW.replace(minute=0, second=0)
    for release, crashed in (("1.0", 1), ("2.0", 40)):
        SessionHour.objects.create(
            project=project, hour=hour, release=release, environment="live", healthy=99 - crashed, errored=1,
            crashed=crashed,
        )  # fmt: skip
    assert asked("crashFreeRate < 95", window_s=3600) == {project.pk: (pytest.approx(79.5), 200)}
    one = asked("crashFreeRate < 95", window_s=3600, matchers={"release": "1.0", "environment": "live"})
    assert one == {project.pk: (99.0, 100)}
    assert asked("crashFreeRate < 95", window_s=3600, matchers={"environment": "test"}) == {}


def test_a_bad_release_fires_the_rule_on_crash_free_sessions():
    SessionHour.objects.create(
        project=make_project(), hour=NOW.replace(minute=0, second=0), release="2.0", healthy=60, crashed=40
    )
    make_rule("crashFreeRate < 95%", window_s=3600, minimum=50)
    watch.watch(now=NOW)
    alert = Alert.objects.get()
    assert (alert.project.name, alert.value) == ("Shop", 60.0)
