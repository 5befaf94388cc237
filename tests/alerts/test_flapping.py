"""Flapping: one notice, resolves held back until it is quiet, one notice that it is stable again."""

import pytest

from apps.alerts import paging, services, watch
from apps.alerts.models import Alert, AlertCycle, Page
from apps.alerts.services import Act
from apps.alerts.suppression import keeping

from .make import at, make_alert, make_errors, make_policy, make_rule, make_user
from .make_suppression import kinds_of, run_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limits(settings):
    settings.FLAP_CYCLES, settings.FLAP_WINDOW_S, settings.FLAP_QUIET_S = 3, 3600, 900


def resolve(alert, second):
    return services.resolve(alert=alert, act=Act(by="rule", at=at(second), via="recovery"))


def flap(cycles=3, first=0):
    """An alert that fires and is resolved by its source each minute; the last firing's row."""
    policy = make_policy((0, make_user("alice")), name=None)
    for cycle in range(cycles):
        alert = make_alert(policy, key="flappy", now=at(first + 60 * cycle))
        paging.escalate_due(now=at(first + 60 * cycle + 1))
        Page.objects.filter(escalation__isnull=False).update(state="sent")
        resolve(alert, first + 60 * cycle + 30)
    return Alert.objects.get(pk=alert.pk)


def notices():
    return list(Page.objects.filter(escalation=None).order_by("id").values_list("subject", flat=True))


def test_fewer_cycles_than_the_limit_are_no_flapping():
    alert = flap(2)
    assert (alert.state, kinds_of(alert)) == ("resolved", [])


def test_the_last_resolve_is_held_back_with_one_notice():
    alert = flap(3)
    assert (alert.state, kinds_of(alert), run_of(alert).state) == ("triggered", ["flapping"], "paused")
    assert [s for s in notices() if s.startswith("[FLAPPING]")] == ["[FLAPPING] Payments are failing"]


def test_a_flapping_alert_that_comes_and_goes_on_pages_nobody_and_gives_no_second_notice():
    alert = flap(3)
    before = Page.objects.count()
    for second in (240, 300, 360):
        assert make_alert(key="flappy", now=at(second)).pk == alert.pk
        assert not resolve(alert, second + 30)
        keeping.keep(now=at(second + 40))
        paging.escalate_due(now=at(second + 41))
    assert Page.objects.count() == before


def test_after_the_quiet_time_it_is_resolved_with_one_notice():
    alert = flap(3)  # quiet since 150
    keeping.keep(now=at(1049))
    assert Alert.objects.get(pk=alert.pk).state == "triggered"
    keeping.keep(now=at(1050))
    keeping.keep(now=at(1060))
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_via, kinds_of(alert)) == ("resolved", "stable", [])
    assert notices()[-1] == "[STABLE AGAIN] Payments are failing"
    assert notices().count("[STABLE AGAIN] Payments are failing") == 1


def test_an_alert_that_fires_on_through_the_quiet_time_pages_again():
    alert = flap(3)
    make_alert(key="flappy", now=at(200))
    keeping.keep(now=at(1099))
    assert run_of(alert).state == "paused"
    keeping.keep(now=at(1100))
    assert (run_of(alert).state, run_of(alert).next_at >= at(1100)) == ("active", True)
    assert notices()[-1] == "[STABLE AGAIN] Payments are failing"


def test_a_rule_that_still_sees_it_ends_the_way_to_quiet():
    alert = flap(3)
    services.still_firing(alert=alert, value=9.0, now=at(500))
    keeping.keep(now=at(1050))
    alert.refresh_from_db()
    assert (alert.state, alert.value, kinds_of(alert)) == ("triggered", 9.0, ["flapping"])


def test_what_people_resolve_is_resolved():
    alert = flap(3)
    assert services.resolve(alert=alert, act=Act(by="bob", at=at(200), via="admin", actor=make_user("bob")))
    assert (Alert.objects.get(pk=alert.pk).state, kinds_of(alert)) == ("resolved", [])


def test_cycles_are_forgotten_when_no_window_reaches_them():
    flap(2)
    keeping.keep(now=at(86_000))
    assert AlertCycle.objects.count() == 2
    keeping.keep(now=at(2 * 86_400))
    assert AlertCycle.objects.count() == 0


def test_a_drill_that_is_held_again_and_again_does_not_flap():
    for second in range(0, 300, 60):
        alert = make_alert(key="drill", now=at(second))
        assert services.resolve(alert=alert, act=Act(by="the drill", at=at(second + 1), via="drill"))
    assert AlertCycle.objects.count() == 0


def test_what_became_quiet_by_itself_is_news_when_it_fires_again():
    """Unlike what a person resolved, whose facts are known for as long as the rule's window."""
    rule = make_rule("errorCount > 0", window_s=3600, for_s=0)
    make_errors(3)
    watch.watch(now=at(60))
    alert = Alert.objects.get()
    services.resolve(alert=alert, act=Act(by="the portal, quiet again", at=at(61), via="stable"))
    watch.watch(now=at(70))
    assert Alert.objects.filter(rule=rule).count() == 2
