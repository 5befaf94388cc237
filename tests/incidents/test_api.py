"""The API of incidents: what it shows, whom it lets act, what it refuses and how."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from apps.audit.models import AuditEvent
from apps.incidents import corrections
from apps.incidents.models import Incident
from apps.projects.services import create_token
from tests.incidents.make import at, make_component, make_incident, make_person, make_project, story

pytestmark = pytest.mark.django_db
LIST = "/api/reliability/incidents"
STATS = f"{LIST}/stats"
WRITE = ("api:read", "incidents:write")


def client_of(name="alice", role="Responder", scopes=WRITE):
    _, secret = create_token(user=make_person(name, role), scopes=list(scopes))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def post(client, path, **body):
    return client.post(path, body, format="json")


def refused(answer, status, field=None):
    """One error body, naming the field."""
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert {"code", "message", "details", "requestId"} <= body.keys()
    if field:
        assert [entry["field"] for entry in body["details"]] == [field], body
    return body["message"]


def test_open_incidents_are_listed_and_others_only_when_asked_for():
    first, over = make_incident(), make_incident("resolved")
    client = client_of()
    for path in (LIST, LIST + "/"):
        assert [row["id"] for row in client.get(path).json()["results"]] == [first.pk]
    assert [row["id"] for row in client.get(LIST, {"state": "resolved"}).json()["results"]] == [over.pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"severity": "SEV1"}, 1), ({"severity": "info"}, 0), ({"component": "payments"}, 1),
        ({"component": "Journal"}, 1), ({"component": "x"}, 0), ({"project": "shop"}, 1), ({"project": "x"}, 0),
        ({"state": "triage"}, 1),
    ],
)  # fmt: skip
def test_the_list_is_narrowed(query, found):
    make_incident(components=[make_component(), make_component("Journal")])
    assert len(client_of().get(LIST, query).json()["results"]) == found


@pytest.mark.parametrize(
    ("query", "field"), [({"severity": "huge"}, "severity"), ({"state": "open"}, "state")]
)
def test_an_unknown_word_is_refused_by_the_name_of_its_field(query, field):
    refused(client_of().get(LIST, query), 400, field)


def test_the_list_costs_the_same_with_three_rows_and_with_thirty():
    client, counts = client_of(), []
    for more in (3, 27):
        for _ in range(more):
            make_incident()
        with CaptureQueriesContext(connection) as queries:
            rows = client.get(LIST).json()["results"]
        counts.append(len(queries))
    assert len(rows) == 30 and counts[0] == counts[1]


def test_one_incident_is_shown_with_its_story():
    incident = make_incident("monitoring")
    body = client_of().get(f"{LIST}/{incident.pk}").json()
    assert (
        body["number"] == incident.number and body["components"] == ["Payments"] and body["project"] == "shop"
    )
    assert body["acknowledgedAt"] == "2026-11-20T12:01:00Z" and body["resolvedAt"] is None
    assert [entry["action"] for entry in body["timeline"]] == [
        "incident.mitigate", "incident.acknowledge", "incident.open",
    ]  # fmt: skip
    assert body["verbs"] == ["resolve", "cancel", "merge", "investigate"]
    refused(client_of().get(f"{LIST}/999999"), 404)


def test_an_incident_is_opened():
    make_component("Payments")
    answer = post(client_of(), LIST, title="Slow", project="shop", severity="sev2", components=["payments"])
    assert answer.status_code == 201
    incident = Incident.objects.get()
    assert (incident.severity, incident.opened_by, incident.state) == ("error", "alice", "triage")
    assert answer.json()["id"] == incident.pk and answer.json()["components"] == ["Payments"]
    event = AuditEvent.objects.get(action="incident.open")
    assert event.actor_label == "alice"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("title", {"title": " "}), ("title", {"title": "x" * 201}),
        ("project", {"project": "nowhere"}), ("severity", {"severity": "huge"}), ("severity", {"severity": None}),
        ("components", {"components": ["nothing"]}), ("components", {"components": "Payments"}),
        ("beganAt", {"beganAt": "2999-01-01T00:00:00Z"}), ("beganAt", {"beganAt": "yesterday"}),
        ("summary", {"summary": "x" * 10_001}), ("pageNobody", {"pageNobody": "perhaps"}),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_refused_at_its_field(field, body):
    make_project()
    refused(
        post(client_of(), LIST, **{"title": "Slow", "project": "shop", "severity": "error"} | body),
        400,
        field,
    )
    assert not Incident.objects.exists()


def test_a_note_is_added_and_corrected():
    incident, client = make_incident(), client_of()
    first = post(client, f"{LIST}/{incident.pk}/notes", text="<b>It is the gateway.</b>")
    assert first.status_code == 201 and first.json()["text"] == "<b>It is the gateway.</b>"
    second = post(client, f"{LIST}/{incident.pk}/notes/", text="No: the cache.", corrects=first.json()["id"])
    assert second.json()["corrects"] == first.json()["id"] and second.json()["actor"] == "alice"
    elsewhere = make_incident()
    refused(
        post(client, f"{LIST}/{elsewhere.pk}/notes", text="x", corrects=first.json()["id"]), 400, "corrects"
    )


@pytest.mark.parametrize("text", ["", " ", "x" * 10_001, "é" * 1_000_000, None, ["x"]])
def test_an_empty_note_and_an_endless_one_are_refused(text):
    incident = make_incident()
    answer = client_of().post(f"{LIST}/{incident.pk}/notes", {"text": text}, format="json")
    if answer.status_code != 413:
        refused(answer, 400, "text")
    assert len(story(incident)) == 1


def test_a_move_answers_with_the_incident_as_it_is_now():
    incident = make_incident("investigating")
    answer = post(client_of(), f"{LIST}/{incident.pk}/move", verb="mitigate", version=1)
    assert (
        answer.status_code == 200 and answer.json()["state"] == "monitoring" and answer.json()["version"] == 2
    )
    assert story(incident)[-1] == "Mark mitigated"


def test_a_stale_version_is_a_conflict_that_tells_who_came_first():
    incident = make_incident("investigating")
    post(client_of("bob", "Commander"), f"{LIST}/{incident.pk}/move", verb="resolve", version=1)
    said = refused(post(client_of(), f"{LIST}/{incident.pk}/move", verb="mitigate", version=1), 409)
    assert "Somebody else was faster. bob at" in said and "Resolve" in said
    said = refused(post(client_of(), f"{LIST}/{incident.pk}/move", verb="mitigate"), 409)
    assert "is resolved by now, and from there: reopen, close." in said


@pytest.mark.parametrize(
    ("field", "body"),
    [("verb", {"verb": "explode"}), ("verb", {}), ("version", {"verb": "mitigate", "version": -1}),
     ("version", {"verb": "mitigate", "version": 2**40}), ("reason", {"verb": "decline"}),
     ("reason", {"verb": "decline", "reason": "x" * 2001}), ("into", {"verb": "mitigate", "into": "x"})],
)  # fmt: skip
def test_a_move_that_cannot_be_is_refused_at_its_field(field, body):
    incident = make_incident()
    refused(client_of().post(f"{LIST}/{incident.pk}/move", body, format="json"), 400, field)
    incident.refresh_from_db()
    assert incident.state == "triage"


def test_merging_names_the_one_that_takes_over():
    incident, other, client = make_incident(), make_incident(), client_of("bob", "Commander")
    refused(post(client, f"{LIST}/{incident.pk}/move", verb="merge", reason="Same."), 400, "into")
    answer = post(client, f"{LIST}/{incident.pk}/move", verb="merge", reason="Same.", into=other.pk)
    assert answer.json()["mergedInto"] == other.pk


@pytest.mark.parametrize(
    ("role", "scopes", "path", "status"),
    [
        ("Viewer", WRITE, "move", 403), ("Viewer", WRITE, "notes", 403), ("Viewer", WRITE, "", 403),
        ("Responder", ("api:read",), "move", 403), ("Responder", ("api:read",), "notes", 403),
        ("Responder", ("api:read",), "", 403), ("Responder", WRITE, "move", 403),
        ("Commander", WRITE, "move", 200), ("Responder", WRITE, "notes", 201),
    ],
)  # fmt: skip
def test_writing_asks_for_the_scope_the_role_and_the_lead_of_a_critical_one(role, scopes, path, status):
    incident = make_incident("investigating")
    bodies = {
        "move": {"verb": "resolve"},
        "notes": {"text": "x"},
        "": {"title": "x", "project": "shop", "severity": "info"},
    }
    address = f"{LIST}/{incident.pk}/{path}" if path else LIST
    answer = post(client_of("mallory", role, scopes), address, **bodies[path])
    assert answer.status_code == status
    if status == 403:
        refused(answer, 403)
        assert len(story(incident)) == 2 and Incident.objects.count() == 1


@pytest.mark.parametrize("path", ["", "/1", "/stats"])
def test_reading_asks_for_the_scope_and_for_somebody(path):
    make_incident()
    refused(APIClient().get(LIST + path), 401)
    refused(client_of("mallory", "Viewer", ["incidents:write"]).get(LIST + path), 403)


def test_a_session_needs_its_csrf_token():
    incident, client = make_incident(), APIClient(enforce_csrf_checks=True)
    client.force_login(make_person("alice", "Responder"))
    refused(post(client, f"{LIST}/{incident.pk}/notes", text="x"), 403)
    assert len(story(incident)) == 1


@pytest.mark.parametrize("path", ["/1/notes", "/1/move"])
def test_verbs_are_post_only(path):
    make_incident()
    refused(client_of().get(LIST + path), 405)


# --- Figures ------------------------------------------------------------------------------------------------------
RANGE = {"since": at(-86400).isoformat(), "until": at(86400).isoformat()}


def test_figures_leave_out_what_was_not_real_and_what_is_not_known():
    for state in ("resolved", "closed", "investigating", "declined", "cancelled", "merged"):
        make_incident(state)
    body = client_of().get(STATS, RANGE).json()
    # Detected 10 min after it began, acknowledged 1 min later, mitigated and resolved 12 and 13 min after it began;
    # merging made one more that is in triage.
    assert body["mttd"] == {"medianSeconds": 600, "p90Seconds": 600, "n": 4}
    assert body["mtta"] == {"medianSeconds": 60, "p90Seconds": 60, "n": 3}
    assert body["mttm"] == {"medianSeconds": 720, "p90Seconds": 720, "n": 2}
    assert body["mttr"] == {"medianSeconds": 780, "p90Seconds": 780, "n": 2}


def test_figures_without_data_are_null_and_not_zero():
    body = client_of().get(STATS).json()
    assert all(
        body[name] == {"medianSeconds": None, "p90Seconds": None, "n": 0}
        for name in ("mttd", "mtta", "mttm", "mttr")
    )
    assert timedelta(days=30) == timezone.datetime.fromisoformat(
        body["until"]
    ) - timezone.datetime.fromisoformat(body["since"])


def test_the_range_is_half_open_and_can_be_narrowed():
    for seconds in (-600, -300):
        make_incident(began_at=at(seconds))
    client = client_of()
    edges = {"since": at(-600).isoformat(), "until": at(-300).isoformat()}
    assert client.get(STATS, edges).json()["mttd"] == {"medianSeconds": 600, "p90Seconds": 600, "n": 1}
    assert client.get(STATS, RANGE | {"severity": "info"}).json()["mttd"]["n"] == 0
    assert client.get(STATS, RANGE | {"component": "Payments"}).json()["mttd"]["n"] == 2


def test_a_corrected_stamp_corrects_the_figures():
    incident = make_incident("resolved")
    corrections.correct_stamp(
        incident=incident, stamp="detected_at", at=at(-300), reason="Seen in the log.",
        actor=make_person("carol", "Admin"), now=at(3600),
    )  # fmt: skip
    body = client_of().get(STATS, RANGE).json()
    assert (body["mttd"]["medianSeconds"], body["mtta"]["medianSeconds"]) == (300, 360)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "x"}, "since"),
        ({"until": "2026"}, "until"),
        ({"since": RANGE["until"], "until": RANGE["since"]}, "since"),
    ],
)
def test_a_range_that_is_none_is_refused_at_its_field(query, field):
    refused(client_of().get(STATS, query), 400, field)
