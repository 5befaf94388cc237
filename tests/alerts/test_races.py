"""Acknowledging, claiming and escalating at the same time, in real transactions on several connections."""

import os
import random
from datetime import timedelta

import pytest
from django.db import transaction

from apps.alerts import outbox, paging, services, walking
from apps.alerts.channels import Receipt
from apps.alerts.models import Alert, Attempt, Escalation, Page
from apps.alerts.services import Act
from apps.audit.models import AuditEvent
from apps.core import context
from tests.alerts.beside import Beside
from tests.alerts.make import NOW, at, make_alert, make_component, make_policy, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def paged_alert():
    alert = make_alert(make_policy((0, make_user()), (0, make_user("bob"))))
    paging.escalate_due(now=NOW)
    return alert, Page.objects.get()


def test_a_claim_that_waits_for_an_acknowledgement_finds_nothing_to_claim():
    alert, page = paged_alert()
    claimed = []
    with transaction.atomic():
        services.acknowledge(alert=alert, act=Act("alice", at(1)))
        claiming = Beside(lambda: claimed.append(outbox.claim(page.pk, now=at(1))))
        assert claiming.waits()
    claiming.done()
    assert claimed == [None]
    assert Page.objects.get().state == "cancelled"


def test_an_acknowledgement_that_waits_for_a_claim_leaves_that_page_and_no_other():
    alert, page = paged_alert()
    with transaction.atomic():
        assert outbox.claim(page.pk, now=at(1)) is not None
        acknowledging = Beside(lambda: services.acknowledge(alert=alert, act=Act("alice", at(1))))
        assert acknowledging.waits()
    acknowledging.done()
    page.refresh_from_db()
    assert page.state == "claimed"
    outbox.record_result(Page.objects.get(), Receipt("sent"), started_at=at(1), now=at(2))
    assert alert.incident.timeline.filter(text__contains="sent after acknowledgement").exists()
    paging.escalate_due(now=at(60))
    assert Page.objects.count() == 1


def test_a_try_that_failed_after_the_acknowledgement_is_not_tried_again():
    alert, page = paged_alert()
    held = outbox.claim(page.pk, now=at(1))
    services.acknowledge(alert=alert, act=Act("alice", at(2)))
    assert outbox.record_result(held, Receipt("transient"), started_at=at(1), now=at(3)) == "pending"
    assert outbox.claim(page.pk, now=at(300)) is None
    page.refresh_from_db()
    assert page.state == "cancelled"


def test_pages_that_a_step_is_just_making_are_cancelled_by_the_acknowledgement_that_waited():
    alert = make_alert(make_policy((0, make_user())))
    with transaction.atomic():
        paging.escalate_due(now=NOW)
        acknowledging = Beside(lambda: services.acknowledge(alert=alert, act=Act("alice", at(1))))
        assert acknowledging.waits()
    acknowledging.done()
    assert (Page.objects.get().state, Escalation.objects.get().state) == ("cancelled", "stopped")


def test_a_step_due_while_an_acknowledgement_is_being_made_makes_no_page_and_no_deadlock():
    alert = make_alert(make_policy((0, make_user())))
    with transaction.atomic():
        services.acknowledge(alert=alert, act=Act("alice", at(1)))
        escalating = Beside(lambda: paging.escalate_due(now=at(2)))
        escalating.done()
    assert not Page.objects.exists()


def test_two_workers_run_each_step_once_and_claim_each_page_once():
    for _ in range(20):
        make_alert(make_policy((0, make_user())))
    other = Beside(lambda: paging.escalate_due(now=NOW))
    paging.escalate_due(now=NOW)
    other.done()
    pages = list(Page.objects.all())
    assert len(pages) == 20
    claimed = []

    def claim_all():
        for page in random.sample(pages, len(pages)):
            if outbox.claim(page.pk, now=NOW):
                claimed.append(page.pk)

    other = Beside(claim_all)
    claim_all()
    other.done()
    assert sorted(claimed) == sorted(page.pk for page in pages)


def test_two_triggers_of_one_key_at_once_open_one_alert_and_one_incident():
    policy, results = make_policy((0, make_user())), []

    def fire():
        results.append(make_alert(policy, key="same").pk)

    for _ in range(5):
        others = [Beside(fire), Beside(fire)]
        fire()
        for other in others:
            other.done()
    assert len(set(results)) == 1
    assert Alert.objects.get().count == 15
    assert Alert.objects.get().incident.alerts.count() == 1


class World:
    """A model of many workers over one database: any of them may die, the clock only moves on."""

    def __init__(self, seed):
        self.dice, self.now, self.inflight = random.Random(seed), NOW, []
        self.sent, self.acked_at, self.claimed_after_ack = [], {}, []
        policy = make_policy((0, make_user()), (60, make_user("bob")), repeat_count=1, repeat_wait_s=60)
        self.alerts = [make_alert(policy) for _ in range(3)]

    def escalate(self):
        paging.escalate_due(now=self.now)

    def claim(self):
        for pk in outbox.due_ids(now=self.now, limit=2):
            page = outbox.claim(pk, now=self.now)
            if page:
                if page.alert_id in self.acked_at:
                    self.claimed_after_ack.append(page.pk)
                self.inflight.append(page)

    def finish(self):
        if self.inflight:
            page = self.inflight.pop(self.dice.randrange(len(self.inflight)))
            outcome = self.dice.choice(["sent", "sent", "transient", "ambiguous"])
            if outcome == "sent":
                self.sent.append((page.pk, page.key, page.token))
            outbox.record_result(page, Receipt(outcome), started_at=self.now, now=self.now)

    def die(self):
        """The provider may have been told; nobody will ever record it."""
        if self.inflight:
            page = self.inflight.pop(self.dice.randrange(len(self.inflight)))
            if self.dice.random() < 0.5:
                self.sent.append((page.pk, page.key, page.token))

    def wait(self):
        self.now += timedelta(seconds=self.dice.choice([1, 5, 30, 70, 4000]))

    def acknowledge(self):
        alert = self.dice.choice(self.alerts)
        if services.acknowledge(alert=alert, act=Act("alice", self.now), epoch=1):
            self.acked_at[alert.pk] = self.now

    def check(self):
        assert not self.claimed_after_ack
        steps = list(Page.objects.values_list("escalation", "cycle", "step", "kind", "address"))
        assert len(steps) == len(set(steps))
        assert len({(pk, token) for pk, _, token in self.sent}) == len(self.sent)  # one delivery per claim
        assert len({key for _, key, _ in self.sent}) == len(
            {pk for pk, _, _ in self.sent}
        )  # a repetition is known
        for run in Escalation.objects.select_related("alert"):
            acknowledged = run.alert_id in self.acked_at  # one that had ended by itself has nothing to stop
            assert run.state not in (("active", "paused") if acknowledged else ("stopped",))

    def settle(self):
        """Healthy workers from here on: everything ends."""
        self.inflight.clear()
        for _ in range(60):
            self.now += timedelta(seconds=61)
            self.escalate()
            for pk in outbox.due_ids(now=self.now, limit=50):
                page = outbox.claim(pk, now=self.now)
                if page:
                    outbox.record_result(page, Receipt("sent"), started_at=self.now, now=self.now)
        self.check()
        assert not Escalation.objects.filter(state="active").exists()
        for alert in self.alerts:
            if alert.pk not in self.acked_at:
                pages = Page.objects.filter(alert=alert)
                assert pages.count() == 4  # two steps, two rounds
                assert not pages.exclude(state__in=("sent", "failed")).exists()
                assert not pages.filter(state="failed", failure="", receipts=None).exists()


SEEDS, STEPS = (60, 120) if os.environ.get("PORTAL_CI") else (5, 50)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_dies_whenever_no_page_is_lost_and_none_is_claimed_after_acknowledgement(seed):
    world = World(seed)
    verbs = [world.escalate, world.claim, world.claim, world.finish, world.die, world.wait, world.acknowledge]
    weights = [3, 3, 3, 4, 1, 3, 0.25]
    for _ in range(STEPS):
        world.dice.choices(verbs, weights)[0]()
        world.check()
    world.settle()
    assert Attempt.objects.filter(outcome="sent").count() >= Page.objects.filter(state="sent").count()


@pytest.mark.parametrize("limit", [7, 10, 100])
def test_thousands_are_walked_by_several_hands_and_each_run_moves_once(monkeypatch, limit):
    monkeypatch.setattr(walking, "BATCH", 2)
    policy = make_policy((0, make_user()))
    for n in range(10):
        make_alert(policy, component=make_component(f"Place {n}"))
    with context.entered(context.RequestContext(actor_label="tick alerts.escalate")):
        report = paging.escalate_due(now=NOW, limit=limit)
    # The hands share what is left of the limit, rounded up.
    moved = Page.objects.count()
    assert min(limit, 10) <= moved <= min(limit + 1, 10) and report.said == f"{moved} steps, {moved} pages"
    assert Page.objects.values("escalation").distinct().count() == moved
    assert Escalation.objects.filter(version=1).count() == moved
    steps = AuditEvent.objects.filter(action="escalation.step")
    assert set(steps.values_list("actor_label", flat=True)) == {"tick alerts.escalate"}
    assert report.backlog == 10 - moved
