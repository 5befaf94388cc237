"""Post-mortems: drafted from facts, reviewed, approved by somebody else, settled; and what was promised in them."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.audit.models import AuditEvent
from apps.core import panels
from apps.incidents import action_items, export, postmortems, services
from apps.incidents.models import ActionItem, PostMortem
from tests.incidents.make import TEXTS, at, make_incident, make_person, make_postmortem, story

pytestmark = pytest.mark.django_db
TODAY = at(0).date()


def test_a_draft_begins_with_the_facts():
    incident = make_incident("resolved")
    services.add_note(
        incident=incident, text="The gateway was down.", actor=make_person("alice"), now=at(200)
    )
    document = postmortems.draft_postmortem(
        incident=incident, author=make_person("carol", "Admin"), now=at(600)
    )
    assert "- Components: Payments" in document.impact
    assert "- Time to detect: 10 min" in document.impact and "- Time to restore: 13 min" in document.impact
    lines = document.timeline.splitlines()
    assert lines[0] == "- 2026-11-20 12:00:00 UTC Opened by rule: Errors"
    assert lines[-1] == "- 2026-11-20 12:03:20 UTC alice: The gateway was down."
    assert document.root_cause == document.mitigation == document.tests_added == ""
    assert document.due_on == (at(0) + timedelta(days=7)).date()  # Friday + 5 business days


def test_the_draft_says_what_upper_rooms_know(monkeypatch):
    made = panels.Panel("Budget", [panels.Row("Payments", "17 % spent"), panels.Row("Journal")])
    key = ("incidents.PostMortem", "facts")
    monkeypatch.setitem(
        panels._registry, key, {"budget": lambda incident: made, "none": lambda incident: None}
    )
    impact = make_fresh("resolved").impact
    assert "- Budget, Payments: 17 % spent" in impact and "- Budget, Journal" in impact


def make_fresh(state, severity="critical"):
    carol = make_person("carol", "Admin")
    return postmortems.draft_postmortem(incident=make_incident(state, severity), author=carol, now=at(600))


def test_a_less_severe_incident_leaves_two_weeks():
    assert make_fresh("resolved", "warning").due_on == (at(0) + timedelta(days=14)).date()


@pytest.mark.parametrize("state", ["triage", "investigating", "identified", "monitoring"])
def test_none_is_drafted_while_the_failure_goes_on(state):
    with pytest.raises(ValidationError, match="First end the failure"):
        make_fresh(state)


def test_an_incident_has_one_post_mortem():
    document = make_fresh("resolved")
    again = postmortems.draft_postmortem(
        incident=document.incident, author=make_person("bob", "Admin"), now=at(700)
    )
    assert again == document and again.author.get_username() == "carol"


def test_a_viewer_drafts_none():
    with pytest.raises(PermissionDenied):
        postmortems.draft_postmortem(
            incident=make_incident("resolved"), author=make_person("mallory", "Viewer"), now=at(1)
        )


def test_the_empty_sections_are_named_when_it_is_submitted():
    document, carol = make_fresh("resolved"), make_person("carol", "Admin")
    sections = {"summary": "It broke.", "mitigation": " \n "}
    postmortems.save_draft(document=document, actor=carol, sections=sections)
    with pytest.raises(ValidationError) as refusal:
        postmortems.submit(document=document, actor=carol, now=at(700))
    assert set(refusal.value.message_dict) == {"root_cause", "mitigation", "tests_added"}
    assert PostMortem.objects.get().state == "draft"


@pytest.mark.parametrize("who", ["carol", "alice"])
def test_nobody_approves_what_they_wrote_or_submitted_even_as_administrator(who):
    document = make_fresh("resolved")
    carol, alice = make_person("carol", "Admin"), make_person("alice", "Admin")
    postmortems.save_draft(document=document, actor=carol, sections=TEXTS)
    postmortems.submit(document=document, actor=alice, now=at(700))
    root = make_person(who)
    root.is_superuser = True
    root.save()
    with pytest.raises(ValidationError, match="Somebody else has to approve it"):
        postmortems.approve(document=document, actor=root, now=at(800))
    assert PostMortem.objects.get().state == "in_review"
    postmortems.approve(document=document, actor=make_person("bob", "Approver"), now=at(800))
    assert document.state == "approved" and document.approved_by.get_username() == "bob"


def test_the_hash_of_the_approved_text_is_in_the_audit_log_and_can_be_computed_anew():
    document = make_postmortem("approved")
    event = AuditEvent.objects.get(action="postmortem.approve")
    assert event.details["content_hash"] == document.content_hash
    stored = PostMortem.objects.get(pk=document.pk)
    plain = {"incident": stored.incident_id, "sections": TEXTS, "action_items": []}
    canonical = json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )  # RFC 8785 of such values
    assert stored.content_hash == hashlib.sha256(canonical.encode()).hexdigest()
    stored.lessons += "!"
    assert postmortems.content_hash(stored) != document.content_hash


def test_the_hash_covers_what_was_promised():
    document = make_postmortem()
    before = postmortems.content_hash(document)
    item = promise(document)
    assert postmortems.content_hash(document) != before
    pinned = postmortems.content_hash(document)
    action_items.finish_action_item(item=item, actor=make_person("carol", "Admin"), now=at(9))
    assert postmortems.content_hash(document) == pinned  # being done does not change what was promised


@pytest.mark.parametrize("state", ["in_review", "approved", "published"])
def test_a_settled_text_is_not_written_any_more(state):
    document, carol = make_postmortem(state), make_person("carol", "Admin")
    with pytest.raises(ValidationError, match="its text is settled"):
        postmortems.save_draft(document=document, actor=carol, sections={"summary": "Nothing happened."})
    with pytest.raises(ValidationError, match="its text is settled"):
        promise(document)
    document.refresh_from_db()
    assert document.summary == TEXTS["summary"] and not document.action_items.exists()


def test_a_review_that_asks_for_changes_reopens_the_text_and_says_what_is_missing():
    document, carol = make_postmortem("changes_requested"), make_person("carol", "Admin")
    assert document.review_note == "More figures."
    assert story(document.incident)[-1] == "Post-mortem: changes requested (More figures.)"
    postmortems.save_draft(document=document, actor=carol, sections={"impact": "612 users."})
    postmortems.submit(document=document, actor=carol, now=at(900))
    assert document.state == "in_review" and document.review_note == ""


def test_a_reviewer_approves_the_text_that_they_read():
    document, bob = make_postmortem("in_review"), make_person("bob", "Approver")
    read, carol = document.version, make_person("carol", "Admin")
    postmortems.request_changes(
        document=document, actor=make_person("alice", "Approver"), reason="Hm.", now=at(800)
    )
    postmortems.save_draft(document=document, actor=carol, sections={"summary": "Something else."})
    postmortems.submit(document=document, actor=carol, now=at(900))
    with pytest.raises(ValidationError) as refusal:
        postmortems.approve(document=document, actor=bob, now=at(950), version=read)
    assert refusal.value.code == "stale"
    postmortems.approve(document=document, actor=bob, now=at(950), version=document.version)


def test_two_writers_do_not_overwrite_each_other():
    document, carol = make_postmortem(), make_person("carol", "Admin")
    seen = document.version
    postmortems.save_draft(document=document, actor=carol, sections={"lessons": "One."}, version=seen)
    with pytest.raises(ValidationError, match="Somebody else saved"):
        postmortems.save_draft(document=document, actor=carol, sections={"lessons": "Two."}, version=seen)
    document.refresh_from_db()
    assert document.lessons == "One."


def test_an_endless_section_is_refused_by_its_name():
    document = make_postmortem()
    with pytest.raises(ValidationError) as refusal:
        postmortems.save_draft(
            document=document, actor=make_person("carol", "Admin"), sections={"impact": "x" * 1_000_000}
        )
    assert list(refusal.value.message_dict) == ["impact"]


def promise(document, **facts):
    carol = make_person("carol", "Admin")
    given = {"title": "Alert on the queue", "kind": "detect", "owner": carol, "due_on": TODAY, "now": at(0)}
    return action_items.add_action_item(document=document, actor=carol, **given | facts)


def test_a_promise_has_an_owner_and_a_day():
    item = promise(make_postmortem(), tracker_url="https://example.org/1")
    assert item.state == "open"
    assert story(item.postmortem.incident)[-1] == "Promised by carol until 20 Nov 2026: Alert on the queue"
    assert AuditEvent.objects.get(action="action_item.create").changes["due_on"] == [None, "2026-11-20"]


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("due_on", {"due_on": TODAY - timedelta(days=1)}),
        ("title", {"title": " "}),
        ("kind", {"kind": "magic"}),
        ("tracker_url", {"tracker_url": "javascript:alert(1)"}),
    ],
)
def test_a_promise_that_means_nothing_is_refused_at_its_field(field, facts):
    with pytest.raises(ValidationError) as refusal:
        promise(make_postmortem(), **facts)
    assert list(refusal.value.message_dict) == [field] and not ActionItem.objects.exists()


def test_somebody_who_left_promises_nothing():
    gone = make_person("mallory", "Responder")
    gone.is_active = False
    with pytest.raises(ValidationError, match="sign in"):
        promise(make_postmortem(), owner=gone)


def test_a_dropped_promise_says_why():
    item, carol = promise(make_postmortem()), make_person("carol", "Admin")
    with pytest.raises(ValidationError, match="say why"):
        action_items.drop_action_item(item=item, actor=carol, now=at(9), reason=" ")
    action_items.drop_action_item(item=item, actor=carol, now=at(9), reason="The queue is gone.")
    assert (item.state, item.closing_note, item.closed_at) == ("wont_do", "The queue is gone.", at(9))


def test_the_export_keeps_what_people_wrote_as_text():
    document = make_postmortem()
    hostile = "<script>alert(1)</script>\n## Forged heading"
    postmortems.save_draft(
        document=document, actor=make_person("carol", "Admin"), sections={"summary": hostile}
    )
    promise(document, title="Two\n## lines")
    text = export.markdown(document)
    assert hostile in text and "- [ ] Two ## lines (Detect, carol, due 2026-11-20, open)" in text
