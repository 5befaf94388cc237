"""Suppression stands beside the state of an alert: it pauses paging, holds back claims, and never a resolve."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from apps.alerts import outbox, paging, services
from apps.alerts.models import Alert, AlertSuppression, Page, Suppression
from apps.alerts.services import Act
from apps.alerts.suppression import keeping
from apps.alerts.suppression import services as suppressions
from apps.audit.models import AuditEvent

from .make import NOW, at, make_alert, make_component, make_policy, make_user
from .make_suppression import kinds_of, make_silence, run_of

pytestmark = pytest.mark.django_db


def policy_of(*waits):
    return make_policy(*[(wait, make_user("alice")) for wait in waits or (0, 600)])


def act(second, name="bob"):
    return Act(by=name, at=at(second), via="admin", actor=make_user(name))


def source(second):
    return Act(by="rule", at=at(second), via="recovery")


def test_an_alert_that_fires_into_a_silence_is_not_paged_and_says_by_whom_and_why():
    make_silence(ends_at=at(3600), reason="New database")
    alert = make_alert(policy_of(), now=at(10))
    assert run_of(alert).state == "paused"
    paging.escalate_due(now=at(11))
    row = AlertSuppression.objects.get()
    assert (row.by, row.reason, row.until) == ("bob", "New database", at(3600))
    assert Page.objects.count() == 0
    assert Alert.objects.get().state == "triggered"


def test_a_silence_that_begins_later_holds_back_pages_that_wait_and_they_go_out_when_it_ends():
    alert = make_alert(policy_of())
    paging.escalate_due(now=at(1))
    page = Page.objects.get()
    silence = make_silence(now=at(2), ends_at=at(1000))
    assert outbox.due_ids(now=at(3), limit=9) == []
    assert outbox.claim(page.pk, now=at(3)) is None
    page.refresh_from_db()
    assert page.state == "pending"
    suppressions.end(row=silence, now=at(900), actor=make_user("bob"))
    assert run_of(alert).state == "active"
    page.refresh_from_db()
    assert page.deadline >= at(900) + timedelta(seconds=300)
    assert outbox.claim(page.pk, now=at(901)) is not None


def test_what_fell_due_meanwhile_is_one_step_from_now_on():
    alert = make_alert(policy_of(0, 60, 60))
    paging.escalate_due(now=at(1))
    make_silence(now=at(2), ends_at=at(5000))
    keeping.keep(now=at(5000))
    run = run_of(alert)
    assert (run.state, run.next_at) == ("active", at(5000))
    paging.escalate_due(now=at(5001))
    paging.escalate_due(now=at(5002))
    assert sorted(Page.objects.values_list("step", flat=True)) == [0, 1]


def test_a_run_that_is_not_due_yet_keeps_its_time():
    alert = make_alert(policy_of(0, 600))
    paging.escalate_due(now=at(1))
    silence = make_silence(now=at(2), ends_at=at(5000))
    suppressions.end(row=silence, now=at(30), actor=make_user("bob"))
    assert run_of(alert).next_at == at(601)


def test_resolves_always_pass():
    make_silence(ends_at=at(3600))
    alert = make_alert(policy_of())
    assert services.resolve(alert=alert, act=source(5))
    alert.refresh_from_db()
    assert (alert.state, alert.suppressed, kinds_of(alert)) == ("resolved", False, [])
    assert run_of(alert).state == "stopped"


def test_the_run_of_an_acknowledged_alert_stays_stopped_when_its_silence_ends():
    alert = make_alert(policy_of())
    silence = make_silence(ends_at=at(3600))
    services.acknowledge(alert=alert, act=act(5))
    suppressions.end(row=silence, now=at(6), actor=make_user("bob"))
    assert run_of(alert).state == "stopped"
    assert Alert.objects.get().state == "acknowledged"


def test_paging_goes_on_only_when_the_last_reason_lifts():
    alert = make_alert(policy_of())
    one = make_silence(ends_at=at(3600))
    make_silence('{severity="critical"}', ends_at=at(60))
    suppressions.end(row=one, now=at(10), actor=make_user("bob"))
    assert run_of(alert).state == "paused"
    keeping.keep(now=at(60))
    assert run_of(alert).state == "active"


def test_an_edit_counts_at_once_for_what_it_reaches_and_what_it_no_longer_reaches():
    ours = make_alert(policy_of())
    other = make_alert(policy_of(), component=make_component("Search"))
    silence = make_silence(ends_at=at(3600))
    silence.matchers = 'component="Search"'
    suppressions.change(row=silence, now=at(5), actor=make_user("carol"))
    assert (run_of(ours).state, run_of(other).state) == ("active", "paused")
    silence.starts_at = at(600)
    suppressions.change(row=silence, now=at(6), actor=make_user("carol"))
    assert run_of(other).state == "active"
    keeping.keep(now=at(600))
    assert run_of(other).state == "paused"
    silence.ends_at = at(7200)
    suppressions.change(row=silence, now=at(601), actor=make_user("carol"))
    assert AlertSuppression.objects.get(lifted_at=None).until == at(7200)


def test_a_silence_until_resolved_ends_with_its_last_alert():
    first, second = make_alert(policy_of()), make_alert(policy_of())
    silence = make_silence(until_resolved=True)
    services.resolve(alert=first, act=source(5))
    assert Suppression.objects.alive().count() == 1
    services.resolve(alert=second, act=source(6))
    silence.refresh_from_db()
    assert silence.ended_at == at(6)
    assert run_of(make_alert(policy_of(), now=at(7))).state == "active"


def test_a_rise_in_severity_out_of_a_silence_pages():
    make_silence('{component="Payments", severity="warning"}', ends_at=at(3600))
    component = make_component()
    fired = services.Fired(
        key="k",
        title="Slow",
        severity="warning",
        project=component.project,
        component=component,
        policy=policy_of(),
    )
    alert = services.trigger(fired=fired, now=at(1))
    assert run_of(alert).state == "paused"
    services.trigger(fired=replace(fired, severity="critical"), now=at(2))
    assert (kinds_of(alert), run_of(alert).state) == ([], "active")


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"matchers": '{component=~"("}'}, "matchers"),
        ({"matchers": "{}"}, "matchers"),
        ({"matchers": '{component!="Payments"}'}, "matchers"),
        ({"reason": "  "}, "reason"),
        ({"ends_at": NOW}, "ends_at"),
        ({"ends_at": None}, "ends_at"),
        ({"until_resolved": True}, "until_resolved"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"repeats": "weekly", "windows": "Sun 02:00-04:00"}, "repeats"),
        ({"windows": "Sun 02:00-04:00"}, "windows"),
        ({"kind": "maintenance", "repeats": "weekly", "windows": "Someday"}, "windows"),
        ({"kind": "maintenance", "repeats": "monthly", "windows": "31 02:00-03:00"}, "windows"),
        ({"kind": "maintenance", "ends_at": None}, "ends_at"),
        ({"kind": "inhibition"}, "source_matchers"),
        ({"kind": "inhibition", "source_matchers": 'rule="x"', "equal": "a b"}, "equal"),
        ({"source_matchers": 'rule="x"'}, "source_matchers"),
        ({"ends_at": at(10**10)}, "ends_at"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field_and_nothing_is_saved(facts, field):
    with pytest.raises(ValidationError) as refusal:
        make_silence(**{"ends_at": at(3600), **facts})
    assert field in refusal.value.message_dict
    assert Suppression.objects.count() == 0


def test_every_change_is_in_the_audit_log_with_its_author():
    silence = make_silence(ends_at=at(3600))
    silence.reason = "We still know."
    suppressions.change(row=silence, now=at(1), actor=make_user("carol"))
    assert suppressions.end(row=silence, now=at(2), actor=make_user("alice"))
    assert not suppressions.end(row=silence, now=at(3), actor=make_user("alice"))
    found = AuditEvent.objects.filter(action__startswith="suppression.").order_by("id")
    assert list(found.values_list("action", "actor_label")) == [
        ("suppression.create", "bob"), ("suppression.update", "carol"), ("suppression.end", "alice"),
    ]  # fmt: skip
    with pytest.raises(ValidationError):
        suppressions.change(row=silence, now=at(4), actor=make_user("carol"))
