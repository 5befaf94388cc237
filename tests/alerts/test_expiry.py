"""Acknowledgements that end by themselves: the alert fires anew, in a new episode, and the person is told."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from apps.alerts import expiry, paging, services
from apps.alerts.models import Alert, Escalation, Page
from apps.alerts.services import Act, StaleEpoch
from tests.alerts.make import NOW, at, make_alert, make_policy, make_user

pytestmark = pytest.mark.django_db


def acknowledged(minutes=30, **policy):
    alice = make_user()
    alert = make_alert(make_policy((0, make_user("bob")), ack_expiry_min=minutes, **policy))
    services.acknowledge(alert=alert, act=Act("Alice", NOW, actor=alice))
    return alert


def test_an_acknowledgement_that_expires_begins_a_new_episode_and_tells_the_person():
    alert = acknowledged(minutes=30)
    assert expiry.return_due(now=at(30 * 60 - 1)) == 0
    assert [expiry.return_due(now=at(30 * 60)) for _ in range(2)] == [1, 0]
    alert.refresh_from_db()
    assert (alert.state, alert.epoch, alert.returns_at) == ("triggered", 2, None)
    paging.escalate_due(now=at(30 * 60))
    assert Page.objects.get(escalation__epoch=2).target_label == "Bob"
    told = Page.objects.get(escalation=None, subject__startswith="[FIRES AGAIN]")
    assert told.target_label == "Alice" and "acknowledgement expired" in told.body
    assert alert.incident.timeline.filter(text__contains="acknowledgement expired").exists()
    with pytest.raises(StaleEpoch):
        services.acknowledge(alert=alert, act=Act("Alice", at(1801)), epoch=1)


def test_without_an_expiry_it_stays_acknowledged_and_a_resolved_alert_does_not_return():
    stays, ends = acknowledged(minutes=None), acknowledged(minutes=5)
    services.resolve(alert=ends, act=Act("Alice", at(60)))
    assert expiry.return_due(now=at(10**6)) == 0
    assert set(Alert.objects.values_list("state", flat=True)) == {"acknowledged", "resolved"}
    assert Escalation.objects.filter(alert=stays).count() == 1


def test_a_snooze_goes_before_the_expiry_and_returns_the_alert_at_its_end():
    alert = acknowledged(minutes=5)
    expiry.snooze(alert=alert, until=at(3600), act=Act("Alice", at(10), actor=make_user()))
    assert expiry.return_due(now=at(3599)) == 0
    assert expiry.return_due(now=at(3600)) == 1
    assert "end of snooze" in Page.objects.get(subject__startswith="[FIRES AGAIN]").body


def test_a_snooze_stops_the_paging_of_an_alert_that_nobody_had_taken():
    alert = make_alert(make_policy((0, make_user())))
    expiry.snooze(alert=alert, until=at(600), act=Act("Alice", NOW, actor=make_user()))
    paging.escalate_due(now=at(60))
    assert not Page.objects.filter(escalation__isnull=False).exists()


@pytest.mark.parametrize("until", [NOW, NOW - timedelta(hours=1), NOW + timedelta(days=8)])
def test_a_snooze_ends_within_seven_days(until):
    alert = make_alert(make_policy((0, make_user())))
    with pytest.raises(ValidationError) as refused:
        expiry.snooze(alert=alert, until=until, act=Act("Alice", NOW))
    assert list(refused.value.message_dict) == ["until"]


def test_a_resolved_alert_cannot_be_snoozed():
    alert = acknowledged()
    services.resolve(alert=alert, act=Act("Alice", at(1)))
    with pytest.raises(ValidationError) as refused:
        expiry.snooze(alert=alert, until=at(60), act=Act("Alice", at(2)))
    assert list(refused.value.message_dict) == ["state"]


def test_the_alerts_page_offers_a_snooze_with_the_hours(client):
    alice = make_user(is_superuser=True, is_staff=True)
    alert = make_alert(make_policy((0, alice)))
    client.force_login(alice)
    client.post(f"/admin/alerts/alert/{alert.pk}/press/snooze/", {"confirmed": "1", "hours": "4"})
    alert.refresh_from_db()
    assert (alert.state, alert.snoozed, alert.acked_user) == ("acknowledged", True, alice)
    assert alert.returns_at - alert.acked_at > timedelta(hours=3)
