"""Alerts: one open per key, acknowledged and resolved once, with their incident."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.alerts import builtin, following, paging, services
from apps.alerts.models import Alert, Escalation, Page
from apps.alerts.services import Act, StaleEpoch
from apps.audit.models import AuditEvent
from apps.incidents import services as incidents
from apps.incidents.models import Incident
from tests.alerts.make import (
    NOW,
    at,
    make_alert,
    make_component,
    make_policy,
    make_project,
    make_rule,
    make_user,
)

pytestmark = pytest.mark.django_db


def act(by="alice", seconds=60, via="admin", actor=None):
    return Act(by=by, at=at(seconds), via=via, actor=actor)


def test_a_trigger_opens_an_alert_an_incident_and_an_escalation():
    alert = make_alert(make_policy((0, make_user())))
    assert (alert.state, alert.epoch, alert.count) == ("triggered", 1, 1)
    assert alert.incident.state == "triage" and alert.incident.components.get() == alert.component
    assert Incident.objects.get().open_alerts == 1
    run = Escalation.objects.get()
    assert (run.state, run.next_at, run.epoch) == ("active", NOW, 1)


def test_the_same_key_counts_up_and_pages_nobody_anew():
    policy = make_policy((0, make_user()))
    first = make_alert(policy, key="k")
    again = make_alert(policy, key="k", now=at(10))
    assert first.pk == again.pk and again.count == 2 and again.last_seen_at == at(10)
    assert Alert.objects.count() == Escalation.objects.count() == Incident.objects.count() == 1


def test_the_database_itself_refuses_a_second_open_alert_of_a_key():
    alert = make_alert(key="k")
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(
            dedup_key="k", project=alert.project, title="x", severity="error", first_seen_at=NOW,
            triggered_at=NOW,
            last_seen_at=NOW,
        )  # fmt: skip


def test_a_rise_in_severity_begins_a_new_episode_even_after_acknowledgement():
    policy = make_policy((0, make_user()))
    component = make_component()
    fired = services.Fired(key="k", title="t", severity="warning", project=component.project, policy=policy)
    alert = services.trigger(fired=fired, now=NOW)
    services.acknowledge(alert=alert, act=act())
    risen = services.trigger(fired=services.Fired(**{**vars(fired), "severity": "critical"}), now=at(90))
    assert (risen.state, risen.epoch, risen.severity, risen.acked_at) == ("triggered", 2, "critical", None)
    assert list(Escalation.objects.order_by("epoch").values_list("epoch", "state")) == [
        (1, "stopped"),
        (2, "active"),
    ]


def test_after_resolution_the_key_opens_a_new_alert():
    first = make_alert(key="k")
    services.resolve(alert=first, act=act())
    assert make_alert(key="k", now=at(120)).pk != first.pk


def test_alerts_of_one_component_join_its_open_incident_and_no_other():
    first = make_alert()
    assert make_alert().incident == first.incident
    assert make_alert(component=make_component("Journal")).incident != first.incident
    assert make_alert(component=make_component("Payments", make_project("Other"))).incident != first.incident
    services.resolve_incident(incident=first.incident, act=act())
    assert make_alert(now=at(90)).incident != first.incident


def test_acknowledging_stops_the_escalation_and_cancels_what_waits():
    alert = make_alert(make_policy((0, make_user()), (300, make_user("bob"))))
    paging.escalate_due(now=NOW)
    assert services.acknowledge(alert=alert, act=act())
    assert Escalation.objects.get().state == "stopped"
    assert Page.objects.get().state == "cancelled"
    paging.escalate_due(now=at(1000))
    assert Page.objects.count() == 1
    alert.incident.refresh_from_db()
    assert (alert.incident.acknowledged_at, alert.incident.acknowledged_by) == (at(60), "alice")


def test_acknowledging_and_resolving_twice_change_nothing_more():
    alert = make_alert(make_policy((0, make_user())))
    assert services.acknowledge(alert=alert, act=act())
    before = AuditEvent.objects.count(), alert.incident.timeline.count()
    assert not services.acknowledge(alert=alert, act=act("bob", 70))
    assert (AuditEvent.objects.count(), alert.incident.timeline.count()) == before
    alert.refresh_from_db()
    assert alert.acked_by == "alice"
    assert services.resolve(alert=alert, act=act())
    assert not services.resolve(alert=alert, act=act("bob", 80))
    assert not services.acknowledge(alert=alert, act=act("bob", 80))


def test_a_stale_epoch_neither_acknowledges_nor_resolves():
    alert = make_alert()
    for verb in (services.acknowledge, services.resolve):
        with pytest.raises(StaleEpoch, match="Triggered again since"):
            verb(alert=alert, act=act(), epoch=0)
    alert.refresh_from_db()
    assert alert.state == "triggered"


def test_acknowledging_an_incident_takes_all_its_alerts_with_one_entry():
    policy = make_policy((0, make_user()))
    alert, other = make_alert(policy), make_alert(policy)
    paging.escalate_due(now=NOW)
    assert services.acknowledge_incident(incident=alert.incident, act=act(actor=make_user()))
    assert set(Alert.objects.values_list("state", flat=True)) == {"acknowledged"}
    assert set(Escalation.objects.values_list("state", flat=True)) == {"stopped"}
    assert set(Page.objects.values_list("state", flat=True)) == {"cancelled"}
    said = alert.incident.timeline.filter(action__endswith=".acknowledge")
    assert said.count() == 1
    assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 2
    assert not services.acknowledge_incident(incident=other.incident, act=act("bob"))


def test_resolving_an_incident_resolves_all_its_alerts():
    alert, _ = make_alert(), make_alert()
    assert services.resolve_incident(incident=alert.incident, act=act())
    assert set(Alert.objects.values_list("state", flat=True)) == {"resolved"}
    alert.incident.refresh_from_db()
    assert (alert.incident.state, alert.incident.open_alerts) == ("resolved", 0)
    assert not services.resolve_incident(incident=alert.incident, act=act())


def test_resolving_one_alert_leaves_the_incident_to_people():
    alert = make_alert()
    services.resolve(alert=alert, act=act())
    alert.incident.refresh_from_db()
    assert (alert.incident.state, alert.incident.open_alerts) == ("triage", 0)


def test_several_incidents_are_taken_together_only_with_a_reason():
    found = [make_alert(component=make_component(name)).incident for name in ("Payments", "Journal")]
    with pytest.raises(ValidationError, match="Say why"):
        services.acknowledge_incidents(incidents_=found, act=act(), reason=" ")
    assert services.acknowledge_incidents(incidents_=found, act=act(), reason="One deploy") == 2
    assert services.acknowledge_incidents(incidents_=found, act=act(), reason="One deploy") == 0
    assert found[0].timeline.filter(text__contains="One deploy").count() == 1


def test_an_incident_opened_by_hand_pages_unless_it_should_page_nobody():
    builtin.ensure_builtin_rules()
    policy = make_policy((0, make_user()), is_default=True)
    for title, nobody in (("Loud", False), ("Quiet", True)):
        incidents.open_incident(
            title=title, project=make_project(), severity="error", began_at=NOW, page_nobody=nobody, now=NOW
        )
    assert following.adopt_incidents(policy=policy, now=at(10)) == 1
    assert following.adopt_incidents(policy=policy, now=at(20)) == 0
    alert = Alert.objects.get()
    assert alert.title == "Loud" and Escalation.objects.get().alert == alert
    assert Incident.objects.count() == 2


def test_alerts_follow_an_incident_that_was_declined_or_taken_by_another_door():
    policy = make_policy((0, make_user()))
    declined = make_alert(policy)
    taken = make_alert(policy, component=make_component("Journal"))
    incidents.move(
        incident=declined.incident,
        verb="decline",
        actor=make_user("bob", is_superuser=True),
        reason="noise",
        now=at(5),
    )
    incidents.acknowledge(incident=taken.incident, by="bob", at=at(5))
    assert following.follow_incidents(now=at(10)) == 2
    assert following.follow_incidents(now=at(20)) == 0
    declined.refresh_from_db()
    taken.refresh_from_db()
    assert (declined.state, taken.state, taken.acked_by) == ("resolved", "acknowledged", "bob")
    assert set(Escalation.objects.values_list("state", flat=True)) == {"stopped"}


def test_an_alert_that_joined_after_the_incident_was_taken_still_pages():
    policy = make_policy((0, make_user()))
    alert = make_alert(policy)
    services.acknowledge_incident(incident=alert.incident, act=act(seconds=5))
    later = make_alert(policy, now=at(60))
    assert later.incident == alert.incident
    assert following.follow_incidents(now=at(70)) == 0
    paging.escalate_due(now=at(70))
    assert Page.objects.get(alert=later).state == "pending"


def test_a_rule_without_a_policy_opens_an_incident_and_says_that_it_pages_nobody():
    alert = make_alert(None, rule=make_rule())
    assert not Escalation.objects.exists()
    assert alert.incident.timeline.filter(text__contains="nobody is paged").exists()


def test_the_builtin_rules_are_made_once_and_get_the_first_policy_once_somebody_exists():
    assert len(builtin.ensure_builtin_rules()) == len(builtin.RULES)
    assert builtin.default_policy() is None
    make_user(is_superuser=True)
    assert builtin.ensure_builtin_rules() == []
    policy = builtin.default_policy()
    assert policy.rules.count() == len(builtin.RULES)
    policy.rules.filter(code="cascade").update(policy=None)
    builtin.ensure_builtin_rules()
    assert policy.rules.count() == len(builtin.RULES) - 1


def test_every_change_of_state_has_one_audit_event_and_one_timeline_entry():
    alert = make_alert(make_policy((0, make_user())))
    paging.escalate_due(now=NOW)
    services.acknowledge(alert=alert, act=act())
    services.resolve(alert=alert, act=act())
    told = sorted(alert.incident.timeline.values_list("action", flat=True))
    assert told == sorted([
        "incident.open", "alert.trigger", "escalation.start", "escalation.step", "incident.acknowledge",
        "alert.resolve",
    ])  # fmt: skip
    kept = list(
        AuditEvent.objects.filter(action__startswith="alert.").order_by("id").values_list("action", flat=True)
    )
    assert kept == ["alert.trigger", "alert.acknowledge", "alert.resolve"]
