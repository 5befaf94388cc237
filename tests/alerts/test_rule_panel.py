"""The rule editor: what the rule would have done, tried by GET without saving."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from apps.alerts.models import AlertRule
from apps.audit.models import AuditEvent
from tests.alerts.make import make_component, make_errors, make_policy, make_rule, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_admin(client):
    client.force_login(make_user(is_superuser=True, is_staff=True))
    return client


def some_bursts(n=4):
    component = make_component("Payments")
    for day in range(1, n + 1):
        make_errors(20, component, timezone.now() - timedelta(days=day))


def page(client, rule=None, **query):
    address = (
        reverse("admin:alerts_alertrule_change", args=[rule.pk]) if rule else reverse("admin:alerts_alertrule_add")
    )  # fmt: skip
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer


def test_the_editor_says_how_often_it_would_have_paged_when_and_how_long(as_admin):
    some_bursts()
    answer = page(as_admin, make_rule("errorCount > 10", policy=make_policy((0, make_user()))))
    past, text = answer.context["past"], answer.content.decode()
    assert past.said == "Would have paged 4 times in the last 30 days."
    assert [(f.subject, f.lasted, f.worst) for f in past.fired] == [
        ("Shop · Payments", timedelta(minutes=10), 20.0)
    ] * 4
    assert past.said in text and "chart__limit" in text and "Judged minute by minute" in text


def test_without_a_policy_it_says_that_nobody_would_have_been_paged(as_admin):
    some_bursts(1)
    past = page(as_admin, make_rule("errorCount > 10")).context["past"]
    assert past.said.startswith("Would have fired once in the last 30 days. It has no policy")


def test_another_threshold_is_tried_without_saving(as_admin):
    some_bursts()
    rule = make_rule("errorCount >", threshold=10)
    events = AuditEvent.objects.count()
    answer = page(
        as_admin, rule, condition="errorCount > 30", window_s=300, for_s=0, minimum=0, resolve_after_s=60
    )
    assert answer.context["past"].said == "Would never have fired in the last 30 days."
    assert "Tried, not saved" in answer.content.decode()
    form = answer.context["adminform"].form
    assert (form["condition"].value(), form["threshold"].value()) == ("errorCount > 30", None)
    rule.refresh_from_db()
    assert (rule.condition, rule.threshold, rule.resolve_after_s) == ("errorCount >", 10, 300)
    assert AuditEvent.objects.count() == events


def test_a_new_rule_can_be_tried_before_it_exists(as_admin):
    some_bursts(2)
    assert page(as_admin).context["past"].said == ""
    answer = page(as_admin, condition="errorCount > 10")
    assert answer.context["past"].said.startswith("Would have fired twice")
    assert answer.context["adminform"].form["condition"].value() == "errorCount > 10"
    assert not AlertRule.objects.filter(condition="errorCount > 10").exists()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"condition": "errorRat > 5"}, "Did you mean errorRate"),
        ({"condition": "errorCount > 5", "window_s": "x"}, "Enter a whole number"),
        ({"condition": "errorCount > 5", "window_s": "9" * 40}, "less than or equal to 86400"),
        ({"condition": "errorCount > 5", "for_s": "-1"}, "greater than or equal to 0"),
        ({"condition": ""}, "This field is required"),
        ({"condition": "affectedUsers > 5"}, "only the present is kept"),
        ({"condition": "trackedEvents > 5"}, "asks for one event"),
        ({"condition": "errorCount > <script>alert(1)</script>"}, "code are not read"),
    ],
)
def test_what_cannot_be_tried_is_said_and_never_breaks_the_page(as_admin, query, said):
    text = page(as_admin, make_rule("errorCount > 10"), **query).content.decode()
    assert said in text and "<script>alert" not in text


def test_a_viewer_sees_the_past_and_a_stranger_to_the_admin_nothing(client):
    some_bursts(1)
    rule = make_rule("errorCount > 10")
    viewer = make_user("bob", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert page(client, rule).context["past"].said.startswith("Would have fired once")
    client.force_login(make_user("mallory", is_staff=True))
    assert client.get(reverse("admin:alerts_alertrule_change", args=[rule.pk])).status_code == 403
