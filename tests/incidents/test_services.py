"""Opening, noting, acknowledging and resolving; what the database refuses whoever asks."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.audit.models import AuditEvent
from apps.incidents import services
from apps.incidents.models import Incident, TimelineEntry
from tests.incidents.make import NOW, at, make_component, make_incident, make_person, make_project, story

pytestmark = pytest.mark.django_db


def test_opening_tells_the_story_and_the_auditors():
    alice = make_person("alice", "Responder")
    incident = services.open_incident(
        title=" Slow ", project=make_project(), severity="error", components=[make_component()], actor=alice,
        began_at=at(-60), now=NOW,
    )  # fmt: skip
    assert (incident.title, incident.state, incident.opened_by) == ("Slow", "triage", "alice")
    assert incident.detected_at == NOW and incident.acknowledged_at is None
    assert story(incident) == ["Opened by alice"]
    event = AuditEvent.objects.get(action="incident.open")
    assert event.actor_label == "alice" and event.changes["components"] == [None, ["Payments"]]


def test_it_began_no_later_than_it_was_detected():
    incident = make_incident(began_at=at(-10), detected_at=at(-60))
    assert incident.began_at == incident.detected_at == at(-60)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("began_at", {"began_at": at(1)}),
        ("severity", {"severity": "huge"}),
        ("title", {"title": " "}),
        ("components", {"components": ["Other"]}),
    ],
)
def test_what_cannot_be_opened_is_refused_at_its_field(field, facts):
    if field == "components":
        facts = {"components": [make_component("Journal", make_project("Other"))]}
    with pytest.raises(ValidationError) as refusal:
        make_incident(**facts)
    assert list(refusal.value.message_dict) == [field]
    assert not Incident.objects.exists() and not AuditEvent.objects.filter(action="incident.open").exists()


def test_the_first_acknowledgement_is_stamped_and_a_second_changes_nothing():
    incident = make_incident()
    assert services.acknowledge(incident=incident, by="alice", at=at(60), via="slack")
    assert not services.acknowledge(incident=incident, by="bob", at=at(70))
    incident.refresh_from_db()
    assert (incident.acknowledged_at, incident.acknowledged_by, incident.state) == (
        at(60),
        "alice",
        "investigating",
    )
    assert story(incident)[1:] == ["Acknowledged by alice via slack"]


@pytest.mark.parametrize("state", ["identified", "monitoring"])
def test_acknowledging_later_keeps_the_state(state):
    incident = make_incident(state)
    Incident.objects.filter(pk=incident.pk).update(acknowledged_at=None, acknowledged_by="")
    assert services.acknowledge(incident=incident, by="alice", at=at(999))
    assert incident.state == state


@pytest.mark.parametrize("state", ["resolved", "closed", "declined", "cancelled", "merged"])
def test_what_is_over_is_neither_acknowledged_nor_resolved(state):
    incident = make_incident(state)
    Incident.objects.filter(pk=incident.pk).update(acknowledged_at=None)
    assert not services.acknowledge(incident=incident, by="alice", at=at(999))
    assert not services.mark_resolved(incident=incident, by="alert", at=at(999), via="alerts")


def test_a_clock_that_is_behind_cannot_stamp_before_an_earlier_stamp():
    incident = make_incident()
    services.acknowledge(incident=incident, by="alice", at=at(-3600))
    assert incident.acknowledged_at == incident.detected_at
    services.mark_resolved(incident=incident, by="alert", at=at(-3600), via="alerts")
    assert incident.resolved_at == incident.mitigated_at == incident.detected_at


@pytest.mark.parametrize(
    ("role", "severity", "done"),
    [("Responder", "critical", False), ("Responder", "error", False), ("Responder", "warning", True),
     ("Commander", "critical", True), ("Viewer", "info", False), (None, "critical", True)],
)  # fmt: skip
def test_the_two_highest_severities_are_resolved_by_who_leads_or_by_the_portal(role, severity, done):
    incident = make_incident("investigating", severity)
    given = {"incident": incident, "by": "alice", "at": at(99), "via": "admin"}
    given["actor"] = make_person("alice", role) if role else None
    if done:
        assert services.mark_resolved(**given) and incident.state == "resolved"
    else:
        with pytest.raises(PermissionDenied):
            services.mark_resolved(**given)


def test_reopening_takes_the_stamps_away_that_no_longer_hold_and_tells_it():
    incident = make_incident("resolved")
    bob = make_person("bob", "Responder")
    back = services.move(incident=incident, verb="reopen", actor=bob, reason="Back again.", now=at(900))
    assert back.state == "investigating" and back.resolved_at is None and back.mitigated_at is None
    assert back.acknowledged_at == at(60)
    assert story(back)[-1] == "Reopen: Back again."
    assert AuditEvent.objects.get(action="incident.reopen").changes["resolved_at"][1] is None


def test_closing_waits_for_open_alerts_and_for_the_post_mortem():
    incident, carol = make_incident("resolved"), make_person("carol", "Admin")
    services.count_alerts(incident=incident, open_alerts=2)
    with pytest.raises(ValidationError, match="open alerts: 2"):
        services.move(incident=incident, verb="close", actor=carol, now=at(900))
    services.count_alerts(incident=incident, open_alerts=0)
    with pytest.raises(ValidationError, match="approved post-mortem"):
        services.move(incident=incident, verb="close", actor=carol, now=at(900))
    quiet = make_incident("resolved", "warning")
    assert services.move(incident=quiet, verb="close", actor=carol, now=at(900)).closed_at == at(900)


def test_a_merged_incident_names_the_one_that_takes_over():
    incident, other, carol = make_incident(), make_incident(), make_person("carol", "Admin")
    give = {"incident": incident, "verb": "merge", "actor": carol, "reason": "Same.", "now": at(99)}
    for wrong in (None, incident, make_incident("resolved")):
        with pytest.raises(ValidationError) as refusal:
            services.move(**give, into=wrong)
        assert list(refusal.value.message_dict) == ["into"]
    assert services.move(**give, into=other).merged_into == other
    assert story(incident)[-1] == f"Merge into {other.number}: Same."
    assert story(other)[-1].startswith(f"{incident.number} was merged into this one")
    with pytest.raises(ValidationError):  # no circles
        services.move(**give | {"incident": other}, into=incident)


def test_a_stale_page_is_told_who_came_first():
    incident, bob = make_incident("investigating"), make_person("bob", "Commander")
    seen = incident.version
    services.move(
        incident=incident, verb="mitigate", actor=make_person("alice", "Responder"), version=seen, now=at(90)
    )
    services.add_note(incident=incident, text="A note in between.", actor=bob, now=at(91))
    with pytest.raises(ValidationError) as refusal:
        services.move(incident=incident, verb="resolve", actor=bob, version=seen, now=at(99))
    assert refusal.value.code == "stale"
    assert "alice at 12:01:30 UTC: Mark mitigated" in refusal.value.messages[0]


def test_a_note_is_kept_as_it_was_written():
    incident, alice = make_incident(), make_person("alice", "Responder")
    text = "<script>alert(1)</script> & **bold**\n 日本語"
    first = services.add_note(incident=incident, text=f"  {text}\x00 ", actor=alice, now=at(5))
    second = services.add_note(incident=incident, text="Not so.", actor=alice, now=at(6), corrects=first)
    assert first.text == text and second.corrects == first and first.kind == "human"


@pytest.mark.parametrize("text", ["", " \n\x00", "x" * 10_001, "é" * 1_000_000])
def test_an_empty_note_and_an_endless_one_are_refused(text):
    incident = make_incident()
    with pytest.raises(ValidationError) as refusal:
        services.add_note(incident=incident, text=text, actor=make_person(), now=at(5))
    assert list(refusal.value.message_dict) == ["text"] and len(story(incident)) == 1


def test_a_correction_stays_within_its_incident():
    alice = make_person()
    foreign = services.add_note(incident=make_incident(), text="Elsewhere.", actor=alice, now=at(5))
    with pytest.raises(ValidationError):
        services.add_note(incident=make_incident(), text="Here.", actor=alice, now=at(6), corrects=foreign)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE incidents_timelineentry SET text = 'nothing happened'",
        "DELETE FROM incidents_timelineentry",
        "TRUNCATE incidents_timelineentry",
    ],
)
def test_the_database_refuses_to_change_the_timeline_for_the_app(change):
    incident = make_incident()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert story(incident) == ["Opened by rule: Errors"]


def test_the_orm_cannot_change_the_timeline_either():
    entry = make_incident().timeline.get()
    entry.text = "Nothing happened."
    tries = (entry.save, lambda: TimelineEntry.objects.update(text="-"), entry.delete,
             lambda: TimelineEntry.objects.bulk_update([entry], ["text"]))  # fmt: skip
    for attempt in tries:
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert TimelineEntry.objects.get().text == "Opened by rule: Errors"


@pytest.mark.parametrize(
    "wrong",
    [
        {"detected_at": at(-601)},
        {"acknowledged_at": at(-1)},
        {"mitigated_at": at(-601)},
        {"resolved_at": at(30)},
    ],
)
def test_the_database_refuses_stamps_out_of_order(wrong):
    incident = make_incident("investigating")  # began −600 s, detected 0 s, acknowledged 60 s
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(**wrong)
