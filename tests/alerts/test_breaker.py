"""A provider that fails is left alone and probed; its pages go the next way; other lanes never wait for it."""

import pytest

from apps.alerts import breaker, outbox, paging, sending
from apps.alerts.models import Breaker, ContactMethod, Page
from apps.audit.models import AuditEvent
from tests.alerts.make import NOW, at, make_alert, make_channel, make_component, make_policy, make_user
from tests.alerts.receivers import Receiver, Sink, smtp

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_allowed(settings, tmp_path):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.EMAIL_BACKEND = "apps.core.mail.KeptMailBackend"
    settings.EMAIL_FILE_PATH = tmp_path


def make_pages(channel, count):
    policy = make_policy((0, channel))
    for _ in range(count):
        make_alert(policy)
    paging.escalate_due(now=NOW)


def test_after_five_failures_in_a_minute_a_lane_is_left_alone_and_then_probed_by_one_page():
    with Receiver((500, {}, b"down")) as down:
        channel = make_channel("webhook", down.url)
        make_pages(channel, 12)
        sending.deliver_due(now=NOW)
        tried = len(down.requests)
        assert breaker.FAILURES <= tried < 12
        held = Breaker.objects.get()
        assert held.lane == f"webhook:{channel.pk}" and held.opened_at is not None
        waiting = Page.objects.filter(state="pending", next_try_at__gt=at(8), attempts=0)
        assert waiting.count() == 12 - tried
        sending.deliver_due(now=held.probe_at)
        assert len(down.requests) == tried + 1
    assert AuditEvent.objects.filter(action="channel.breaker_opened").count() == 1
    assert Breaker.objects.get().probe_at > held.probe_at


def test_a_probe_that_works_closes_the_lane_and_everything_goes_out():
    with Receiver(*[(500, {}, b"down")] * 8, (200, {}, b"ok")) as hook:
        make_pages(make_channel("webhook", hook.url), 12)
        sending.deliver_due(now=NOW)
        while (held := Breaker.objects.get()).opened_at is not None:
            sending.deliver_due(now=held.probe_at)
        sending.deliver_due(now=at(250))
    assert set(Page.objects.values_list("state", flat=True)) == {"sent"}
    assert AuditEvent.objects.filter(action="channel.breaker_closed").count() == 1


def test_while_a_lane_is_shut_the_next_way_of_a_person_is_tried_at_once(settings):
    alice = make_user()
    ContactMethod.objects.create(user=alice, kind="email", address="alice@example.org", order=1)
    make_alert(make_policy((0, alice)))
    paging.escalate_due(now=NOW)
    page = Page.objects.get()
    way = {"kind": "email", "address": "two@example.org", "label": "Alice", "user_id": alice.pk}
    Page.objects.update(data={**page.data, "then": [way]})
    outbox.put_off(page.pk, until=at(60), now=NOW)
    assert list(Page.objects.order_by("id").values_list("address", "next_try_at")) == [
        ("alice@example.org", at(60)),
        ("two@example.org", NOW),
    ]


def test_at_its_deadline_a_page_is_tried_though_its_lane_is_shut():
    with Receiver((500, {}, b"down")) as down:
        make_pages(make_channel("webhook", down.url), 1)
        page = Page.objects.get()
        for _ in range(breaker.FAILURES):
            breaker.failed(breaker.lane_of(page), "down", now=NOW)
        sending.deliver_due(now=NOW)
        assert not down.requests
        sending.deliver_due(now=page.deadline)
        assert len(down.requests) == 1


def test_failures_far_apart_and_refusals_of_one_address_open_nothing(settings):
    for number in range(9):
        breaker.failed("sms", "slow", now=at(number * 61))
    assert Breaker.objects.get().opened_at is None
    with smtp(settings, Sink("550 no such user")):
        for number in range(7):
            make_alert(make_policy((0, make_user(f"user{number}"))))
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
    assert not Breaker.objects.filter(lane="email").exists()


def test_the_first_page_of_each_component_goes_before_the_second_of_any():
    with Receiver() as hook:
        channel = make_channel("webhook", hook.url)
        make_pages(channel, 5)
        late = make_alert(make_policy((0, channel)), component=make_component("Journal"))
        paging.escalate_due(now=at(5))
        order = outbox.due_ids(now=at(5), limit=10)
    assert Page.objects.get(alert=late).pk in order[:2]


def test_a_provider_that_hangs_does_not_hold_what_goes_another_way():
    with Receiver(1.0) as hangs, Receiver() as works:
        make_pages(make_channel("webhook", hangs.url), sending.THREADS)
        make_pages(make_channel("webhook", works.url), 1)
        said = sending.deliver_due(now=NOW).said
    assert said.startswith("1 sent, ")  # in the order in which they came back
