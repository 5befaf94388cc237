"""A step that asks everybody: it fires until the last has acknowledged, and pages nobody who has."""

import pytest

from apps.alerts import paging, services
from apps.alerts.models import Alert, AlertAck, Escalation, Page
from apps.alerts.services import Act
from apps.audit.models import AuditEvent
from tests.alerts.make import NOW, at, make_alert, make_policy, make_user

pytestmark = pytest.mark.django_db


def make_for_all(*names, **facts):
    policy = make_policy((0, make_user(names[0])), repeat_count=2, repeat_wait_s=60, **facts)
    step = policy.steps.get()
    step.users.set([make_user(name) for name in names])
    type(step).objects.filter(pk=step.pk).update(require_ack="all")
    return policy


def make_paged(*names, **facts):
    alert = make_alert(make_for_all(*names, **facts))
    paging.escalate_due(now=NOW)
    return alert


def acknowledge(alert, name, seconds=5, **more):
    return services.acknowledge(alert=alert, act=Act(by=name, at=at(seconds), actor=make_user(name)), **more)


def paged(**facts):
    return sorted(Page.objects.filter(**facts).values_list("user__username", flat=True))


def test_it_fires_until_the_last_has_acknowledged():
    alert = make_paged("alice", "bob")
    assert acknowledge(alert, "alice")
    alert.refresh_from_db()
    assert (alert.state, Escalation.objects.get().state) == ("triggered", "active")
    assert paged(state="cancelled") == ["alice"] and paged(state="pending") == ["bob"]
    assert alert.incident.timeline.filter(text__contains="Still needed: Bob").count() == 1
    assert acknowledge(alert, "bob", 9)
    alert.refresh_from_db()
    assert (alert.state, alert.acked_by, Escalation.objects.get().state) == ("acknowledged", "bob", "stopped")
    assert AuditEvent.objects.filter(action="alert.acknowledge_one").count() == 1


def test_who_has_acknowledged_is_not_paged_again_but_the_others_are():
    alert = make_paged("alice", "bob")
    acknowledge(alert, "alice")
    paging.escalate_due(now=at(60))
    assert paged(cycle=1) == ["bob"]


def test_a_second_word_of_the_same_person_changes_nothing():
    alert = make_paged("alice", "bob")
    acknowledge(alert, "alice")
    acknowledge(alert, "alice")
    assert AlertAck.objects.count() == 1 and Alert.objects.get().state == "triggered"


def test_a_source_or_a_token_acknowledges_for_all():
    alert = make_paged("alice", "bob")
    assert services.acknowledge(alert=alert, act=Act(by="pager", at=at(5), via="api"))
    assert Alert.objects.get().state == "acknowledged"


def test_somebody_whom_no_page_reached_and_somebody_who_left_hold_up_nobody():
    alert = make_paged("alice", "bob", "carol")
    Page.objects.filter(user__username="bob").update(state="failed")
    make_user("carol").__class__.objects.filter(username="carol").update(is_active=False)
    assert acknowledge(alert, "alice")
    assert Alert.objects.get().state == "acknowledged"


def test_who_was_not_asked_may_help_but_does_not_stand_in():
    alert = make_paged("alice", "bob")
    assert acknowledge(alert, "carol")
    assert Alert.objects.get().state == "triggered"


def test_the_incident_is_taken_when_the_last_of_its_alerts_is():
    alert = make_paged("alice", "bob")
    incident = alert.incident
    assert services.acknowledge_incident(
        incident=incident, act=Act(by="Alice", at=at(5), actor=make_user("alice"))
    )
    incident.refresh_from_db()
    assert incident.acknowledged_at is None and Alert.objects.get().state == "triggered"
    services.acknowledge_incident(incident=incident, act=Act(by="Bob", at=at(9), actor=make_user("bob")))
    incident.refresh_from_db()
    assert incident.acknowledged_at == at(9) and Alert.objects.get().state == "acknowledged"


def test_a_new_episode_asks_everybody_anew():
    alert = make_paged("alice", "bob")
    acknowledge(alert, "alice")
    Alert.objects.update(epoch=2)
    alert.refresh_from_db()
    assert (
        acknowledge(alert, "alice") and Alert.objects.get().state == "acknowledged"
    )  # nobody was paged in it yet


def test_a_step_that_asks_anybody_stays_as_it_was():
    alert = make_alert(make_policy((0, make_user("alice")), (600, make_user("bob"))))
    paging.escalate_due(now=NOW)
    acknowledge(alert, "alice")
    assert Alert.objects.get().state == "acknowledged" and not AlertAck.objects.exists()
