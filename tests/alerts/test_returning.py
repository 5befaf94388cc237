"""People give alerts back: a new episode, in which the old acknowledgement counts for nothing."""

import pytest
from django.core.exceptions import ValidationError

from apps.alerts import following, paging, services
from apps.alerts.models import Alert, Page
from apps.alerts.services import Act, StaleEpoch
from apps.alerts.suppression import returning

from .make import at, make_alert, make_policy, make_user
from .make_suppression import kinds_of, make_silence, run_of

pytestmark = pytest.mark.django_db


def act(second, name="bob"):
    return Act(by=name, at=at(second), via="admin", actor=make_user(name))


def taken():
    alert = make_alert(make_policy((0, make_user("alice"))))
    services.acknowledge(alert=alert, act=act(1))
    return alert


def test_an_alert_that_is_given_back_pages_again_in_a_new_episode():
    alert = taken()
    assert returning.unacknowledge(alert=alert, act=act(5), epoch=1)
    alert.refresh_from_db()
    assert (alert.state, alert.epoch, alert.acked_by, run_of(alert).state) == ("triggered", 2, "", "active")
    paging.escalate_due(now=at(6))
    assert Page.objects.get(epoch=2).state == "pending"
    assert not returning.unacknowledge(alert=alert, act=act(7))


def test_it_is_not_taken_again_by_the_old_acknowledgement_of_its_incident():
    alert = taken()
    returning.unacknowledge(alert=alert, act=act(5))
    following.follow_incidents(now=at(6))
    assert Alert.objects.get().state == "triggered"


def test_a_stale_episode_is_refused():
    alert = taken()
    returning.unacknowledge(alert=alert, act=act(5))
    for verb in (returning.unacknowledge, returning.reopen, services.acknowledge):
        with pytest.raises(StaleEpoch):
            verb(alert=alert, act=act(6), epoch=1)


def test_a_resolved_alert_is_reopened_unless_another_holds_its_key():
    alert = make_alert(make_policy((0, make_user("alice"))), key="k")
    services.resolve(alert=alert, act=act(1))
    with pytest.raises(ValidationError):
        returning.unacknowledge(alert=alert, act=act(2))
    assert returning.reopen(alert=alert, act=act(2), epoch=1)
    assert not returning.reopen(alert=alert, act=act(3))
    assert (run_of(alert).state, Alert.objects.get().resolved_at) == ("active", None)
    services.resolve(alert=alert, act=act(4))
    make_alert(key="k", now=at(5))
    with pytest.raises(ValidationError, match="Another alert is open"):
        returning.reopen(alert=alert, act=act(6))
    assert Alert.objects.get(pk=alert.pk).state == "resolved"


def test_what_is_given_back_into_a_silence_does_not_page():
    alert = taken()
    make_silence(ends_at=at(3600))
    returning.unacknowledge(alert=alert, act=act(5))
    assert (kinds_of(alert), run_of(alert).state) == (["silence"], "paused")
