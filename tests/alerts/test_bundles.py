"""Storms and merged alerts: the first page is never hidden, and no alert is left under one that is over."""

from dataclasses import replace

import pytest
from django.core.exceptions import ValidationError

from apps.alerts import paging, services
from apps.alerts.models import Alert, AlertSuppression
from apps.alerts.services import Act, Fired
from apps.alerts.suppression import bundles, keeping

from .make import at, make_alert, make_component, make_policy, make_user
from .make_suppression import kinds_of, make_silence, run_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limits(settings):
    settings.STORM_ALERTS, settings.STORM_WINDOW_S = 3, 300


def act(second, name="bob"):
    return Act(by=name, at=at(second), via="admin", actor=make_user(name))


def storm(n=6, policy=None, first=0):
    policy = policy or make_policy((0, make_user("alice")))
    return [make_alert(policy, now=at(first + number)) for number in range(n)]


def parents():
    rows = AlertSuppression.objects.filter(lifted_at=None).order_by("alert_id")
    return list(rows.values_list("alert_id", "parent_id"))


def test_of_more_alerts_than_the_limit_the_later_ones_go_under_the_first():
    alerts = storm()
    assert [run_of(alert).state for alert in alerts] == ["active"] * 3 + ["paused"] * 3
    assert {parent for _, parent in parents()} == {alerts[0].pk}


def test_alerts_of_another_component_or_of_long_ago_are_no_storm():
    storm(3)
    elsewhere = make_alert(
        make_policy((0, make_user("alice"))), now=at(4), component=make_component("Search")
    )
    later = make_alert(make_policy((0, make_user("alice"))), now=at(400))
    assert kinds_of(elsewhere) == kinds_of(later) == []


def test_the_first_page_of_another_policy_or_a_higher_severity_is_not_hidden():
    storm(4)
    other = make_alert(make_policy((0, make_user("carol"))), now=at(5))
    assert kinds_of(other) == []
    component, policy = make_component("Search"), make_policy((0, make_user("alice")))
    fired = Fired(
        key="",
        title="Slow",
        severity="warning",
        project=component.project,
        component=component,
        policy=policy,
    )
    for number in range(4):
        services.trigger(fired=replace(fired, key=f"slow {number}"), now=at(number))
    worse = services.trigger(fired=replace(fired, key="down", severity="critical"), now=at(5))
    assert kinds_of(worse) == []


def test_nothing_goes_under_an_alert_that_is_silenced_or_taken():
    alerts = storm(3)
    for alert in alerts[:2]:
        services.acknowledge(alert=alert, act=act(4))
    make_silence(now=at(5), ends_at=at(3600), matchers='{component="Payments"}')
    assert kinds_of(make_alert(make_policy((0, make_user("alice"))), now=at(6))) == ["silence"]


def test_acknowledging_the_first_takes_its_bundle_along():
    alerts = storm()
    services.acknowledge(alert=alerts[0], act=act(10))
    states = dict(Alert.objects.values_list("pk", "state"))
    assert [states[a.pk] for a in alerts] == ["acknowledged"] + ["triggered"] * 2 + ["acknowledged"] * 3
    assert {run_of(alert).state for alert in alerts[3:]} == {"stopped"}


def test_when_the_first_is_resolved_the_next_one_pages_and_holds_the_others():
    alerts = storm()
    services.resolve(alert=alerts[0], act=act(10))
    keeping.keep(now=at(11))
    assert [run_of(alert).state for alert in alerts[3:]] == ["active", "paused", "paused"]
    assert parents() == [(alerts[4].pk, alerts[3].pk), (alerts[5].pk, alerts[3].pk)]


def test_when_the_first_is_silenced_by_itself_the_next_one_pages():
    alerts = storm()
    Alert.objects.filter(pk=alerts[0].pk).update(labels={"host": "db-1"})
    make_silence('{host="db-1"}', now=at(10), ends_at=at(3600))
    keeping.keep(now=at(11))
    assert [run_of(alert).state for alert in alerts[3:]] == ["active", "paused", "paused"]


def test_a_bundled_alert_that_fires_on_below_a_taken_first_one_is_not_lost():
    """It was put under the first while somebody acknowledged that one."""
    alerts = storm()
    Alert.objects.filter(pk=alerts[0].pk).update(state="acknowledged")
    keeping.keep(now=at(11))
    assert run_of(alerts[3]).state == "active"


def test_a_bundled_alert_that_grows_more_severe_pages():
    policy = make_policy((0, make_user("alice")))
    component = make_component()
    fired = Fired(
        key="", title="Slow", severity="error", project=component.project, component=component, policy=policy
    )
    alerts = [services.trigger(fired=replace(fired, key=f"slow {n}"), now=at(n)) for n in range(5)]
    assert kinds_of(alerts[4]) == ["storm"]
    services.trigger(fired=replace(fired, key="slow 4", severity="critical"), now=at(9))
    assert (kinds_of(alerts[4]), run_of(alerts[4]).state) == ([], "active")


def test_a_merged_alert_stops_paging_until_its_parent_is_over():
    policy = make_policy((0, make_user("alice")))
    one, other = make_alert(policy), make_alert(policy)
    bundles.merge(alert=one, parent=other, now=at(1), actor=make_user("bob"))
    assert (kinds_of(one), run_of(one).state) == (["parent"], "paused")
    paging.escalate_due(now=at(2))
    services.resolve(alert=other, act=act(3))
    keeping.keep(now=at(4))
    assert (kinds_of(one), run_of(one).state) == ([], "active")


def test_a_merged_alert_is_acknowledged_with_its_parent_and_can_be_taken_out():
    policy = make_policy((0, make_user("alice")))
    one, two, parent = (make_alert(policy) for _ in range(3))
    for child in (one, two):
        bundles.merge(alert=child, parent=parent, now=at(1), actor=make_user("bob"))
    assert bundles.unmerge(alert=two, now=at(2), actor=make_user("bob"))
    assert not bundles.unmerge(alert=two, now=at(2), actor=make_user("bob"))
    services.acknowledge_incident(incident=parent.incident, act=act(3))
    services.acknowledge(alert=parent, act=act(3))
    assert Alert.objects.get(pk=one.pk).state == "acknowledged"
    assert run_of(two).state == "stopped"  # of the same incident


def test_merges_that_make_no_sense_are_refused():
    policy = make_policy((0, make_user("alice")))
    one, two, three, over = (make_alert(policy) for _ in range(4))
    services.resolve(alert=over, act=act(1))
    bundles.merge(alert=one, parent=two, now=at(2), actor=make_user("bob"))
    for alert, parent, word in (
        (one, one, "itself"),
        (three, over, "resolved"),
        (three, one, "another"),
        (two, three, "under"),
    ):
        with pytest.raises(ValidationError, match=word):
            bundles.merge(alert=alert, parent=parent, now=at(3), actor=make_user("bob"))
    assert parents() == [(one.pk, two.pk)]


def test_a_merge_rule_puts_alerts_under_their_cause():
    make_silence(
        'component="Search"',
        kind="parent",
        source_matchers='component="Payments"',
        equal="project",
        ends_at=None,
    )
    policy = make_policy((0, make_user("alice")))
    effect = make_alert(policy, component=make_component("Search"))
    cause = make_alert(policy, now=at(1))
    keeping.keep(now=at(2))
    assert parents() == [(effect.pk, cause.pk)]
    services.acknowledge(alert=cause, act=act(3))
    assert Alert.objects.get(pk=effect.pk).state == "acknowledged"


# --- Inhibition ---------------------------------------------------------------------------------------------
def inhibit(**facts):
    facts = {"matchers": 'severity=~"critical|error"', "source_matchers": 'component="Database"', **facts}
    return make_silence(kind="inhibition", ends_at=None, **facts)


def test_an_alert_is_inhibited_while_a_source_with_equal_labels_is_open():
    inhibit(equal="project, zone")
    policy = make_policy((0, make_user("alice")))
    source = make_alert(policy, component=make_component("Database"), labels={"zone": ""})
    ours, theirs = make_alert(policy), make_alert(policy, labels={"zone": "b"})
    assert (kinds_of(ours), kinds_of(theirs)) == (["inhibition"], [])  # a missing label equals an empty one
    assert "while “Payments are failing” is open" in AlertSuppression.objects.get().reason
    services.acknowledge(alert=source, act=act(1))
    keeping.keep(now=at(2))
    assert (kinds_of(ours), run_of(ours).state) == (["inhibition"], "paused")
    services.resolve(alert=source, act=act(3))
    keeping.keep(now=at(4))
    assert (kinds_of(ours), run_of(ours).state) == ([], "active")


def test_an_alert_that_fits_both_sides_mutes_neither_itself_nor_its_like():
    inhibit()
    policy = make_policy((0, make_user("alice")))
    both = [make_alert(policy, component=make_component("Database")) for _ in range(2)]
    keeping.keep(now=at(1))
    assert [kinds_of(alert) for alert in both] == [[], []]
