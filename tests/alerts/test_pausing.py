"""A held escalation makes no page and sends none; lifted, it goes on with one step."""

import pytest

from apps.alerts import outbox, paging, services
from apps.alerts.models import Escalation, EscalationState, Page, PageState
from apps.alerts.services import Act
from tests.alerts.make import NOW, at, make_alert, make_policy, make_user

pytestmark = pytest.mark.django_db


def make_three_steps():
    return make_alert(make_policy((60, make_user()), (60, make_user("bob")), (60, make_user("carol"))))


def test_a_held_run_makes_no_page_and_goes_on_with_one_step_however_long_it_was_held():
    alert = make_three_steps()
    assert paging.pause_escalations([alert.pk]) == 1
    paging.escalate_due(now=at(3600))
    assert not Page.objects.exists()
    assert paging.resume_escalations([alert.pk], at(3600)) == 1
    paging.escalate_due(now=at(3600))
    assert list(Page.objects.values_list("target_label", flat=True)) == ["Alice"]
    assert Escalation.objects.get().next_at == at(3660)


def test_a_step_that_is_not_yet_due_when_the_hold_lifts_keeps_its_time():
    alert = make_three_steps()
    paging.pause_escalations([alert.pk])
    paging.resume_escalations([alert.pk], at(10))
    assert Escalation.objects.get().next_at == at(60)


def test_a_waiting_page_of_a_held_run_waits_and_is_sent_when_it_lifts():
    alert = make_three_steps()
    paging.escalate_due(now=at(60))
    page = Page.objects.get()
    paging.pause_escalations([alert.pk])
    assert outbox.due_ids(now=at(61), limit=9) == []
    assert outbox.claim(page.pk, now=at(61)) is None
    page.refresh_from_db()
    assert page.state == PageState.PENDING
    paging.resume_escalations([alert.pk], at(7200))
    assert outbox.due_ids(now=at(7200), limit=9) == [page.pk]
    assert outbox.claim(page.pk, now=at(7200)) is not None


def test_a_held_run_ends_with_its_alert_and_cannot_be_lifted_then():
    alert = make_three_steps()
    paging.pause_escalations([alert.pk])
    services.acknowledge(alert=alert, act=Act("Alice", NOW))
    assert paging.resume_escalations([alert.pk], at(5)) == 0
    assert Escalation.objects.get().state == EscalationState.STOPPED


def test_holding_twice_or_lifting_what_is_not_held_changes_nothing():
    alert = make_three_steps()
    assert paging.resume_escalations([alert.pk], NOW) == 0
    assert [paging.pause_escalations([alert.pk]) for _ in range(2)] == [1, 0]
