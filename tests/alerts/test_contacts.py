"""Many alerts, one person: the first page at once, the rest in one message, each with its receipt."""

import pytest

from apps.alerts import bundling, outbox, paging, sending, services
from apps.alerts.channels import Receipt
from apps.alerts.models import Alert, Attempt, Page
from apps.alerts.services import Act
from tests.alerts.make import NOW, at, make_alert, make_channel, make_component, make_policy, make_user
from tests.alerts.receivers import Receiver, Sink, smtp
from tests.alerts.test_sending import mails_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]


def fire(policy, count, component=None, now=NOW):
    alerts = [make_alert(policy, now=now, component=component) for _ in range(count)]
    paging.escalate_due(now=now)
    return alerts


def subjects(sink):
    return [str(mail["Subject"]) for mail in mails_of(sink)]


def test_a_storm_is_one_page_at_once_and_one_message_for_the_rest(settings):
    policy = make_policy((0, make_user()))
    with smtp(settings, Sink()) as sink:
        fire(policy, 1)
        sending.deliver_due(now=NOW)
        fire(policy, 9, now=at(5))
        sending.deliver_due(now=at(5))
        assert len(sink.envelopes) == 1
        sending.deliver_due(now=at(61))
    assert subjects(sink)[1] == "9 alerts on Payments: [CRITICAL] Payments are failing"
    assert Page.objects.filter(state="sent").count() == 10
    assert Attempt.objects.values("page").distinct().count() == 10
    assert Page.objects.exclude(carrier=None).count() == 8


def test_an_acknowledged_alert_is_not_in_the_message(settings):
    policy = make_policy((0, make_user()))
    with smtp(settings, Sink()) as sink:
        fire(policy, 1)
        sending.deliver_due(now=NOW)
        alerts = fire(policy, 3, now=at(5))
        sending.deliver_due(now=at(5))
        services.acknowledge(alert=alerts[0], act=Act(by="Alice", at=at(6)))
        sending.deliver_due(now=at(61))
    assert subjects(sink)[1].startswith("2 alerts on Payments")
    assert Page.objects.get(alert=alerts[0]).state == "cancelled"


def test_another_component_pages_at_once_until_there_are_too_many(settings):
    policy = make_policy((0, make_user()))
    with smtp(settings, Sink()) as sink:
        for number in range(bundling.MOST_MESSAGES + 2):
            fire(policy, 1, make_component(f"Part {number}"), now=at(number))
            sending.deliver_due(now=at(number))
        assert len(sink.envelopes) == bundling.MOST_MESSAGES
        sending.deliver_due(now=at(70))
    assert subjects(sink)[-1].startswith("2 alerts on 2 components")


def test_notices_do_not_mix_with_pages_and_are_bundled_too(settings):
    policy = make_policy((0, make_user()))
    with smtp(settings, Sink()) as sink:
        alerts = fire(policy, 4)
        sending.deliver_due(now=NOW)
        for alert in alerts:
            services.resolve(alert=Alert.objects.get(pk=alert.pk), act=Act(by="Bob", at=at(90)))
        sending.deliver_due(now=at(90))
        sending.deliver_due(now=at(151))
    said = subjects(sink)
    assert said[0].startswith("4 alerts on Payments") and said[-1].startswith("4 notices on Payments")
    assert not Page.objects.filter(state="pending").exists()


def test_machines_get_every_page_by_itself():
    with Receiver() as hook:
        fire(make_policy((0, make_channel("webhook", hook.url))), 4)
        sending.deliver_due(now=NOW)
    assert len(hook.requests) == 4


def test_a_message_that_was_refused_as_a_whole_is_sent_in_its_parts():
    with Receiver((400, {}, b"invalid_blocks"), (200, {}, b"ok")) as slack:
        channel = make_channel("slack", "", slack.url)
        fire(make_policy((0, channel)), 3)
        sending.deliver_due(now=NOW)
        sending.deliver_due(now=at(2))
    assert len(slack.requests) == 4
    assert set(Page.objects.filter(channel=channel).values_list("state", flat=True)) == {"sent"}


def test_what_may_have_arrived_is_repeated_under_its_own_key_and_in_no_other_message(settings):
    policy = make_policy((0, make_user()))
    first, _ = fire(policy, 2)
    page = Page.objects.get(alert=first)
    claimed = outbox.claim(page.pk, now=NOW)
    outbox.record_result(claimed, Receipt("ambiguous", "broke off"), started_at=NOW, now=NOW)
    with smtp(settings, Sink()) as sink:
        sending.deliver_due(now=at(1))
        sending.deliver_due(now=at(120))
    keys = [mail["X-Portal-Key"] for mail in mails_of(sink)]
    assert sorted(keys) == sorted(Page.objects.values_list("key", flat=True))
