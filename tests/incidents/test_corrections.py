"""What people correct: words, severity, components, command, stamps."""

import pytest
from django.core.exceptions import ValidationError

from apps.audit.models import AuditEvent
from apps.incidents import corrections
from tests.incidents.make import NOW, at, make_component, make_incident, make_person, make_project, story

pytestmark = pytest.mark.django_db


def correct(incident, stamp, when, reason="The log says so.", now=None):
    corrections.correct_stamp(
        incident=incident, stamp=f"{stamp}_at", at=when, reason=reason, actor=make_person("carol", "Admin"),
        now=now or at(3600),
    )  # fmt: skip


def test_a_stamp_is_corrected_with_its_reason_in_the_story():
    incident = make_incident("resolved")
    correct(incident, "detected", at(-30))
    assert incident.detected_at == at(-30)
    assert story(incident)[-1] == "Detected corrected to 20 Nov 11:59:30 UTC: The log says so."
    event = AuditEvent.objects.get(action="incident.stamp")
    assert event.changes == {"detected_at": ["2026-11-20T12:00:00.000000Z", "2026-11-20T11:59:30.000000Z"]}


# The incident: began −600, detected 0, acknowledged 60, mitigated 120, resolved 180 seconds.
@pytest.mark.parametrize(
    ("stamp", "seconds", "said"),
    [
        ("began", 1, "Detected would lie before began"),
        ("detected", -601, "Detected would lie before began"),
        ("detected", 61, "Acknowledged would lie before detected"),
        ("acknowledged", -1, "Acknowledged would lie before detected"),
        ("acknowledged", 181, "Resolved would lie before acknowledged"),
        ("mitigated", -1, "Mitigated would lie before detected"),
        ("mitigated", 181, "Resolved would lie before mitigated"),
        ("resolved", 119, "Resolved would lie before mitigated"),
        ("resolved", 3601, "future"),
        ("resolved", None, "follows from the state"),
        ("began", None, "has a beginning"),
    ],
)
def test_stamps_stay_in_their_order(stamp, seconds, said):
    incident = make_incident("resolved")
    with pytest.raises(ValidationError, match=said):
        correct(incident, stamp, None if seconds is None else at(seconds))
    assert len(story(incident)) == 4


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("mitigated", 30), ("acknowledged", 150), ("acknowledged", None), ("detected", None)],
)
def test_mitigated_may_come_before_acknowledged_and_stamps_may_be_unset(stamp, seconds):
    incident = make_incident("resolved")
    correct(incident, stamp, None if seconds is None else at(seconds))
    assert getattr(incident, f"{stamp}_at") == (None if seconds is None else at(seconds))


def test_an_open_incident_has_no_resolved_stamp():
    with pytest.raises(ValidationError, match="follows from the state"):
        correct(make_incident("monitoring"), "resolved", at(200))


@pytest.mark.parametrize(
    ("stamp", "reason"), [("closed", "x"), ("title", "x"), ("detected", " "), ("detected", "x" * 2001)]
)
def test_an_unknown_stamp_and_a_missing_reason_are_refused(stamp, reason):
    with pytest.raises(ValidationError):
        correct(make_incident(), stamp, at(-5), reason)


def describe(incident, actor, **changes):
    version = changes.pop("version", None)
    corrections.describe(incident=incident, actor=actor, now=at(99), changes=changes, version=version)


def test_a_changed_title_and_severity_are_told_and_audited():
    incident, alice = make_incident(severity="error"), make_person("alice", "Responder")
    before = incident.version
    describe(incident, alice, title="Payments fail for all", severity="critical", state="closed")
    assert (incident.title, incident.severity, incident.state) == (
        "Payments fail for all",
        "critical",
        "triage",
    )
    assert story(incident)[-1] == "Severity changed from Error to Critical; Title changed"
    assert incident.version == before + 1
    assert AuditEvent.objects.get(action="incident.update").changes["severity"] == ["error", "critical"]


def test_saving_what_is_already_there_changes_nothing():
    incident, alice = make_incident(), make_person("alice", "Responder")
    describe(incident, alice, title=incident.title)
    assert incident.version == 0 and len(story(incident)) == 1


@pytest.mark.parametrize(
    ("role", "before", "after", "allowed"),
    [("Responder", "critical", "warning", False), ("Responder", "error", "info", False),
     ("Responder", "warning", "info", True), ("Responder", "warning", "critical", True),
     ("Responder", "critical", "critical", True), ("Commander", "critical", "info", True),
     ("Viewer", "info", "critical", False)],
)  # fmt: skip
def test_who_may_not_resolve_a_loud_incident_may_not_make_it_quiet(role, before, after, allowed):
    incident, person = make_incident(severity=before), make_person("alice", role)
    give = {"incident": incident, "severity": after, "actor": person, "now": at(9)}
    if allowed:
        corrections.change_severity(**give)
        assert incident.severity == after
    else:
        with pytest.raises(ValidationError) as refusal:
            corrections.change_severity(**give)
        assert list(refusal.value.message_dict) == ["severity"]


def test_a_severity_may_be_given_by_its_alias_and_an_unknown_one_names_the_known():
    incident, carol = make_incident(), make_person("carol", "Admin")
    corrections.change_severity(incident=incident, severity="SEV3", actor=carol, now=at(9))
    assert incident.severity == "warning"
    with pytest.raises(ValidationError, match="critical, error, warning, info"):
        corrections.change_severity(incident=incident, severity="huge", actor=carol, now=at(9))


def test_an_edit_of_an_older_page_is_told_who_was_faster():
    incident, alice, bob = make_incident(), make_person("alice", "Responder"), make_person("bob", "Responder")
    describe(incident, alice, title="Mine", version=0)
    with pytest.raises(ValidationError, match="alice at 12:01:39 UTC: Title changed"):
        describe(incident, bob, title="No, mine", version=0)
    incident.refresh_from_db()
    assert incident.title == "Mine"


def test_components_belong_to_the_project_and_are_part_of_the_story():
    incident, carol = make_incident(), make_person("carol", "Admin")
    hit = [make_component("Journal"), make_component("Authentication")]
    corrections.set_components(incident=incident, components=hit, actor=carol, now=at(9))
    corrections.set_components(incident=incident, components=hit, actor=carol, now=at(10))
    assert story(incident)[1:] == ["Components: Authentication, Journal"]
    assert AuditEvent.objects.get(action="incident.components").changes["components"][0] == ["Payments"]
    with pytest.raises(ValidationError):
        strange = [make_component("X", make_project("Other"))]
        corrections.set_components(incident=incident, components=strange, actor=carol, now=at(11))
    assert incident.components.count() == 2


def test_command_is_taken_once():
    incident, alice = make_incident(), make_person("alice", "Responder")
    assert corrections.take_command(incident=incident, actor=alice, now=NOW)
    assert not corrections.take_command(incident=incident, actor=alice, now=NOW)
    assert incident.commander == alice and story(incident)[1:] == ["Took command"]
    assert corrections.take_command(incident=incident, actor=make_person("bob", "Responder"), now=NOW)
    changes = AuditEvent.objects.filter(action="incident.command").order_by("-id")[0].changes
    assert changes == {"commander": ["alice", "bob"]}
