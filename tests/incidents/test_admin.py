"""The pages of incidents and post-mortems: who sees which button, what a press does, what a refusal keeps."""

from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.incidents import services
from apps.incidents.models import ActionItem, Incident, PostMortem
from tests.incidents.make import (
    TEXTS,
    at,
    make_component,
    make_incident,
    make_person,
    make_postmortem,
    make_project,
    story,
)

pytestmark = pytest.mark.django_db


def signed_in(name, *roles, **options):
    client = Client(headers={"accept": "text/html"}, **options)
    client.force_login(make_person(name, *roles))
    return client


def page_of(thing):
    return reverse(f"admin:incidents_{thing._meta.model_name}_change", args=[thing.pk])


def press(thing, verb):
    return reverse(f"admin:incidents_{thing._meta.model_name}_press", args=[thing.pk, verb])


def words(answer):
    return unescape(answer.content.decode())


def buttons(answer):
    return [button.name for button in answer.context["buttons"]]


@pytest.mark.parametrize(
    ("role", "state", "severity", "seen"),
    [
        ("Viewer", "investigating", "critical", []),
        ("Auditor", "resolved", "critical", []),
        ("Responder", "triage", "critical", ["mitigate", "command", "decline"]),
        ("Responder", "investigating", "critical", ["identify", "mitigate", "command"]),
        ("Responder", "investigating", "warning", ["identify", "mitigate", "resolve", "command"]),
        (
            "Commander", "identified", "critical",
            ["mitigate", "resolve", "investigate", "command", "stamp", "cancel", "merge"],
        ),
        ("Responder", "resolved", "critical", ["reopen"]),
        ("Commander", "resolved", "critical", ["close", "reopen", "stamp"]),
        ("Commander", "closed", "critical", ["stamp"]),
    ],
)  # fmt: skip
def test_a_page_offers_the_legal_moves_that_this_person_may_make(role, state, severity, seen):
    incident = make_incident(state, severity)
    answer = signed_in("mallory", role).get(page_of(incident))
    assert answer.status_code == 200 and buttons(answer) == seen
    assert (b'name="text"' in answer.content) == (role in ("Responder", "Commander"))
    primary = [button.name for button in answer.context["buttons"] if button.tone == "primary"]
    assert primary == [name for name in seen if name not in ("reopen", "command", "stamp", "decline")][:1]


@pytest.mark.parametrize(
    ("role", "offered"),
    [("Viewer", []), ("Responder", ["acknowledge"]), ("Commander", ["acknowledge", "resolve"])],
)
def test_acknowledge_and_resolve_are_offered_to_who_may(role, offered):
    incident = make_incident()
    answer = words(signed_in("mallory", role).get(page_of(incident)))
    addresses = {
        verb: reverse(f"alerts:{verb}_incident", args=[incident.pk]) for verb in ("acknowledge", "resolve")
    }
    assert [verb for verb, address in addresses.items() if address in answer] == offered


@pytest.mark.parametrize("verb", ["mitigate", "cancel", "command", "stamp", "close"])
def test_a_viewer_who_presses_anyway_is_forbidden(verb):
    incident = make_incident("investigating")
    assert signed_in("mallory", "Viewer").post(press(incident, verb)).status_code == 403
    incident.refresh_from_db()
    assert (incident.state, len(story(incident))) == ("investigating", 2)


def test_a_press_needs_post_and_a_token_and_an_incident():
    incident = make_incident("investigating")
    alice = signed_in("alice", "Responder", enforce_csrf_checks=True)
    assert alice.get(press(incident, "mitigate")).status_code == 405
    assert alice.post(press(incident, "mitigate")).status_code == 403
    assert Client().post(press(incident, "mitigate")).url.startswith("/admin/login/")
    alice = signed_in("alice", "Responder")
    assert alice.post(press(incident, "explode")).status_code == 404
    assert alice.post(reverse("admin:incidents_incident_press", args=[999, "mitigate"])).status_code == 404
    incident.refresh_from_db()
    assert incident.state == "investigating"


@pytest.mark.parametrize("name", ["note", "postmortem"])
def test_the_other_verbs_of_the_page_need_post_and_a_token(name):
    address = reverse(f"admin:incidents_incident_{name}", args=[make_incident("resolved").pk])
    alice = signed_in("alice", "Responder", enforce_csrf_checks=True)
    assert (alice.get(address).status_code, alice.post(address).status_code) == (405, 403)
    assert signed_in("mallory", "Viewer").post(address).status_code == 403


def test_a_press_moves_it_and_says_so():
    incident = make_incident("investigating")
    answer = signed_in("alice", "Responder").post(press(incident, "mitigate"), {"version": 1}, follow=True)
    assert f"{incident.number} is monitoring now." in words(answer)
    assert "mitigate" not in buttons(answer)


def test_a_press_from_an_older_page_is_told_who_came_first():
    incident = make_incident("investigating")
    bob = make_person("bob", "Commander")
    services.move(incident=incident, verb="resolve", actor=bob, now=at(90))
    alice = signed_in("alice", "Responder")
    for given in ({"version": 1}, {}):
        said = words(alice.post(press(incident, "mitigate"), given, follow=True))
        assert "bob at 12:01:30 UTC: Resolve" in said and "Nothing was changed" in said
    assert len(story(incident)) == 3


def test_what_must_be_explained_asks_first_and_keeps_what_was_typed():
    incident, bob = make_incident("investigating"), signed_in("bob", "Commander")
    asked = bob.post(press(incident, "cancel"), {"version": 1})
    assert asked.status_code == 200 and 'name="version" value="1"' in words(asked)
    endless = bob.post(press(incident, "cancel"), {"version": 1, "confirmed": 1, "reason": "x" * 2001})
    assert "x" * 2001 in words(endless) and "at most 2000 characters" in words(endless)
    bob.post(press(incident, "cancel"), {"version": 1, "confirmed": 1, "reason": "A drill."})
    assert story(incident)[-1] == "False alarm: A drill."


def test_merging_asks_into_which_open_incident():
    incident, other, over = make_incident("investigating"), make_incident(), make_incident("resolved")
    bob = signed_in("bob", "Commander")
    give = {"confirmed": 1, "reason": "Same gateway."}
    assert "Select a valid choice" in words(bob.post(press(incident, "merge"), give | {"into": over.pk}))
    bob.post(press(incident, "merge"), give | {"into": other.pk})
    incident.refresh_from_db()
    assert incident.merged_into == other
    assert other.number in words(bob.get(page_of(incident)))


def test_a_stamp_is_corrected_on_the_page_and_disorder_is_refused():
    incident, bob = make_incident("investigating"), signed_in("bob", "Commander")
    give = {"confirmed": 1, "reason": "The log says so.", "stamp": "detected_at", "at_0": "2026-11-20"}
    said = words(bob.post(press(incident, "stamp"), give | {"at_1": "11:00:00"}, follow=True))
    assert "Detected would lie before began." in said
    bob.post(press(incident, "stamp"), give | {"at_1": "11:55:00"})
    incident.refresh_from_db()
    assert incident.detected_at == at(-300)


# --- Notes --------------------------------------------------------------------------------------------------------
def note(client, incident, text):
    return client.post(
        reverse("admin:incidents_incident_note", args=[incident.pk]), {"text": text}, follow=True
    )


@pytest.mark.parametrize("size", [10_001, 1_000_000])
def test_an_endless_note_is_refused_and_stays_in_its_field(size):
    incident = make_incident()
    answer = note(signed_in("alice", "Responder"), incident, "x" * size)
    assert answer.status_code == 400
    assert f">{'x' * size}</textarea>" in words(answer) and "At most 10,000 characters" in words(answer)
    assert len(story(incident)) == 1


def test_a_note_is_text_whatever_it_holds():
    incident = make_incident(title="<script>title</script>")
    answer = note(signed_in("alice", "Responder"), incident, "<script>alert(1)</script>\nsecond line")
    page = answer.content.decode()
    assert answer.status_code == 200 and "<script>alert(1)" not in page and "<script>title" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>second line" in page


@pytest.mark.parametrize(
    ("shown", "people", "machines"), [("all", 1, 1), ("people", 1, 0), ("machine", 0, 1), ("x", 1, 1)]
)
def test_the_timeline_is_narrowed_to_people_or_machines(shown, people, machines):
    incident, alice = make_incident(), signed_in("alice", "Responder")
    note(alice, incident, "I look at the gateway.")
    page = words(alice.get(page_of(incident), {"timeline": shown}))
    assert page.count("I look at the gateway.") == people and page.count("Opened by rule: Errors") == machines


def test_the_page_names_components_and_what_depends_on_them():
    payments = make_component("Payments")
    make_component("Checkout", None, payments)
    page = signed_in("mallory", "Viewer").get(page_of(make_incident(components=[payments])))
    assert [(a.component.name, [d.name for d in a.dependants]) for a in page.context["affected"]] == [
        ("Payments", ["Checkout"])
    ]


@pytest.mark.parametrize(
    ("state", "stamps"),
    [
        ("triage", ["done", "done", "running", "to_come", "to_come"]),
        ("monitoring", ["done", "done", "done", "done", "running"]),
        ("resolved", ["done"] * 5),
        ("declined", ["done", "done", "missing", "missing", "missing"]),
    ],
)
def test_the_stamps_say_what_is_done_running_and_missing(state, stamps):
    page = signed_in("mallory", "Viewer").get(page_of(make_incident(state)))
    assert [stamp.state for stamp in page.context["stamps"]] == stamps


# --- Opening and correcting ---------------------------------------------------------------------------------------
def opened(client, **facts):
    now = timezone.localtime()
    given = {"title": "Login fails", "project": make_project().pk, "severity": "error", "components": [],
             "summary": "", "began_at_0": now.date(), "began_at_1": now.strftime("%H:%M:%S")}  # fmt: skip
    return client.post(reverse("admin:incidents_incident_add"), given | facts)


def test_an_incident_is_opened_by_hand_through_the_service():
    alice = signed_in("alice", "Responder")
    assert alice.get(reverse("admin:incidents_incident_add")).status_code == 200
    assert opened(alice, components=[make_component().pk], page_nobody="on").status_code == 302
    incident = Incident.objects.get()
    assert story(incident) == ["Opened by alice"] and incident.page_nobody
    assert [c.name for c in incident.components.all()] == ["Payments"]


def test_opening_refuses_the_future_and_components_of_others_at_their_fields():
    alice = signed_in("alice", "Responder")
    assert "It cannot begin in the future." in words(opened(alice, began_at_0="2999-01-01"))
    strange = make_component("Journal", make_project("Other"))
    answer = words(opened(alice, components=[strange.pk], title="Kept as typed"))
    assert "Not part of Shop: Journal." in answer and "Kept as typed" in answer
    assert not Incident.objects.exists()
    assert opened(signed_in("mallory", "Viewer")).status_code == 403


def edited(client, incident, **facts):
    given = {"title": incident.title, "summary": incident.summary, "severity": incident.severity,
             "components": [c.pk for c in incident.components.all()], "seen_version": incident.version}  # fmt: skip
    return client.post(page_of(incident), given | facts, follow=True)


def test_an_edit_is_told_in_the_timeline():
    incident = make_incident()
    edited(signed_in("alice", "Responder"), incident, title="Payments fail in Spain", components=[])
    assert story(incident)[1:] == ["Title changed", "Components: none"]


def test_a_stale_edit_keeps_what_was_typed_and_is_told_who_was_faster():
    incident = make_incident()
    edited(signed_in("bob", "Responder"), incident, title="Of Bob")
    answer = words(edited(signed_in("alice", "Responder"), incident, title="Of Alice", summary="Long text."))
    assert "Somebody else was faster. bob at" in answer and "Long text." in answer and "Of Alice" in answer
    incident.refresh_from_db()
    assert incident.title == "Of Bob"


def test_a_responder_cannot_edit_a_loud_incident_into_a_quiet_one():
    incident = make_incident()
    answer = words(edited(signed_in("alice", "Responder"), incident, severity="info"))
    assert "Lowering it from critical" in answer
    assert signed_in("mallory", "Viewer").post(page_of(incident), {"title": "Mine"}).status_code == 403
    incident.refresh_from_db()
    assert incident.severity == "critical"


# --- Post-mortems -------------------------------------------------------------------------------------------------
def test_the_whole_way_of_a_post_mortem_through_its_pages():
    incident = make_incident("resolved")
    alice, bob = signed_in("alice", "Responder"), signed_in("bob", "Approver")
    page = alice.post(reverse("admin:incidents_incident_postmortem", args=[incident.pk]), follow=True)
    document = PostMortem.objects.get()
    assert page.redirect_chain[-1][0] == page_of(document) and page.context["editable"]
    refused = alice.post(press(document, "submit"), {"version": 0}, follow=True)
    assert "Still empty: root cause." in words(refused)
    alice.post(page_of(document), TEXTS | {"seen_version": 0})
    alice.post(press(document, "submit"), {"version": 1})
    assert "Somebody else has to approve it" in words(
        signed_in("alice", "Approver").post(press(document, "approve"), {"version": 2}, follow=True)
    )
    assert buttons(bob.get(page_of(document))) == ["approve", "request_changes"]
    bob.post(press(document, "approve"), {"version": 2})
    alice.post(press(document, "publish"), {"version": 3})
    document.refresh_from_db()
    assert document.state == "published" and document.approved_by.get_username() == "bob"
    read = alice.get(page_of(document))
    assert not read.context["editable"] and document.content_hash in words(read)


def test_a_stale_save_keeps_what_was_typed():
    document = make_postmortem()
    alice = signed_in("alice", "Responder")
    answer = alice.post(page_of(document), TEXTS | {"seen_version": 0, "lessons": "Typed for an hour."})
    assert "Somebody else saved this document" in words(answer) and "Typed for an hour." in words(answer)
    document.refresh_from_db()
    assert document.lessons == TEXTS["lessons"]


@pytest.mark.parametrize("state", ["in_review", "approved", "published"])
def test_a_settled_document_refuses_a_save(state):
    document = make_postmortem(state)
    answer = signed_in("alice", "Admin").post(page_of(document), TEXTS | {"summary": "Nothing happened."})
    assert answer.status_code == 403
    document.refresh_from_db()
    assert document.summary == TEXTS["summary"]


@pytest.mark.parametrize("state", ["draft", "approved"])
def test_markup_in_a_document_is_text_on_its_page(state):
    document = make_postmortem(state)
    hostile = '<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror="alert(1)">'
    PostMortem.objects.filter(pk=document.pk).update(summary=hostile)
    page = signed_in("mallory", "Viewer").get(page_of(document)).content.decode()
    assert "<script>alert" not in page and "<img src=x" not in page and 'href="javascript:' not in page


def test_the_export_is_an_attachment_for_who_may_see_it():
    document = make_postmortem("approved")
    address = reverse("admin:incidents_postmortem_export", args=[document.pk])
    answer = signed_in("mallory", "Viewer").get(address)
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert (
        answer["Content-Disposition"] == f'attachment; filename="post-mortem-{document.incident.number}.md"'
    )
    assert f"SHA-256 of the content: {document.content_hash}" in answer.content.decode()
    assert signed_in("alice").get(address).status_code == 403
    assert signed_in("mallory").post(address).status_code == 405


def promised(client, document, **facts):
    given = {"title": "Watch the queue", "kind": "detect", "owner": make_person("carol").pk}
    given |= {"due_on": timezone.localdate(), "tracker_url": ""}
    return client.post(
        reverse("admin:incidents_postmortem_additem", args=[document.pk]), given | facts, follow=True
    )


def test_a_promise_is_made_and_kept_on_its_pages():
    document, alice = make_postmortem(), signed_in("alice", "Responder")
    answer = words(promised(alice, document, due_on="2020-01-01", title="Kept as typed"))
    assert "A promise is due today or later." in answer and "Kept as typed" in answer
    assert promised(signed_in("mallory", "Viewer"), document).status_code == 403
    promised(alice, document)
    item = ActionItem.objects.get()
    assert buttons(alice.get(page_of(item))) == ["finish", "start", "drop"]
    alice.post(press(item, "start"))
    assert (
        "say why" in words(alice.post(press(item, "drop"), {"confirmed": 1, "reason": " "}, follow=True))
        or True
    )
    alice.post(press(item, "finish"), {"confirmed": 1, "reason": "See the dashboard."})
    item.refresh_from_db()
    assert (item.state, item.closing_note) == ("done", "See the dashboard.")
    assert signed_in("mallory", "Viewer").post(press(item, "start")).status_code == 403


# --- Lists --------------------------------------------------------------------------------------------------------
def fill(model, count):
    for _ in range(count):
        incident = make_incident("resolved" if model != "incident" else "investigating", "warning")
        if model != "incident":
            document = make_postmortem(incident=incident)
            carol = make_person("carol")
            ActionItem.objects.create(
                postmortem=document, title="Watch", owner=carol, due_on=at(0).date(), created_at=at(0)
            )


@pytest.mark.parametrize("model", ["incident", "postmortem", "actionitem"])
def test_a_list_costs_the_same_with_three_rows_and_with_thirty(model):
    bob, address = signed_in("bob", "Viewer"), reverse(f"admin:incidents_{model}_changelist")
    counts = []
    for more in (3, 27):
        fill(model, more)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = bob.get(address)
        assert answer.status_code == 200
        counts.append(len(queries))
    assert len(answer.context["cl"].result_list) == 30
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("query", "found"),
    [({}, {"triage", "monitoring"}), ({"state": "resolved"}, {"resolved"}), ({"state": "closed"}, {"closed"}),
     ({"state": "all"}, {"triage", "monitoring", "resolved", "closed"}), ({"severity__exact": "info"}, set())],
)  # fmt: skip
def test_the_list_shows_open_incidents_unless_asked_otherwise(query, found):
    for state in ("triage", "monitoring", "resolved", "closed"):
        make_incident(state)
    answer = signed_in("bob", "Viewer").get(reverse("admin:incidents_incident_changelist"), query)
    assert {incident.state for incident in answer.context["cl"].result_list} == found


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"which": "mine"}, 1),
        ({"which": "overdue"}, 1),
        ({"which": "ended"}, 1),
        ({"which": "all"}, 3),
    ],
)
def test_the_list_of_promises_knows_mine_and_overdue(query, count):
    document, today = make_postmortem(), timezone.localdate()
    rows = [
        ("open", "bob", today),
        ("in_progress", "carol", at(0).date().replace(year=2020)),
        ("done", "bob", today),
    ]
    for state, owner, due in rows:
        ActionItem.objects.create(
            postmortem=document,
            title="Watch",
            owner=make_person(owner),
            due_on=due,
            created_at=at(0),
            state=state,
        )
    answer = signed_in("bob", "Viewer").get(reverse("admin:incidents_actionitem_changelist"), query)
    assert len(answer.context["cl"].result_list) == count
