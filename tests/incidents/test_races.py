"""Two people at once on one incident or document, in real transactions: one wins, the other is told what happened."""

import pytest
from django.core.exceptions import ValidationError

from apps.audit.models import AuditEvent
from apps.incidents import action_items, corrections, postmortems, services
from apps.incidents.models import ActionItem, Incident, PostMortem
from tests.at_once import at_once
from tests.incidents.make import TEXTS, at, make_incident, make_person, make_postmortem, story

pytestmark = pytest.mark.django_db(transaction=True)


def told(act):
    """What the act answered, or the words of its refusal."""
    try:
        return act()
    except ValidationError as refusal:
        return " ".join(refusal.messages)


def one_wins(answers, words):
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert len(refused) == len(answers) - 1, answers
    assert all(words in sentence for sentence in refused), refused


@pytest.mark.parametrize("seen", [True, False])
def test_of_two_who_move_it_one_wins_and_the_other_is_told(seen):
    incident = make_incident("investigating")
    people = make_person("alice", "Commander"), make_person("bob", "Commander")
    verbs, version = ("mitigate", "cancel"), incident.version if seen else None

    def press(n):
        mine = Incident.objects.get(pk=incident.pk)
        give = {"actor": people[n], "version": version, "reason": "So.", "now": at(500)}
        return told(lambda: services.move(incident=mine, verb=verbs[n], **give))

    answers = at_once(2, press)
    if seen:
        one_wins(answers, "Somebody else was faster.")
        winner = people[next(n for n in (0, 1) if not isinstance(answers[n], str))].get_username()
        assert f"{winner} at 12:08:20 UTC" in next(a for a in answers if isinstance(a, str))
    else:  # without the page's version only what is illegal is refused: a mitigated one may still be cancelled
        assert not isinstance(answers[1], str)
    incident.refresh_from_db()
    moved = sum(not isinstance(answer, str) for answer in answers)
    assert incident.version == 1 + moved and len(story(incident)) == 2 + moved
    assert AuditEvent.objects.filter(action__in=("incident.mitigate", "incident.cancel")).count() == moved


def test_of_many_who_resolve_it_one_does():
    incident, carol = make_incident("monitoring"), make_person("carol", "Admin")

    def press(n):
        mine = Incident.objects.get(pk=incident.pk)
        return services.mark_resolved(incident=mine, by=f"n{n}", at=at(500), actor=carol, via="admin")

    assert sorted(at_once(6, press)) == [False] * 5 + [True]
    assert sum("Resolved by" in text for text in story(incident)) == 1


def test_of_many_who_acknowledge_it_one_is_stamped():
    incident = make_incident()

    def press(n):
        return services.acknowledge(incident=Incident.objects.get(pk=incident.pk), by=f"n{n}", at=at(500 + n))

    answers = at_once(6, press)
    incident.refresh_from_db()
    assert answers.count(True) == 1 and incident.acknowledged_by == f"n{answers.index(True)}"
    assert len(story(incident)) == 2 and incident.version == 1


def test_two_edits_of_one_page_do_not_overwrite_each_other():
    incident, people = make_incident(), (make_person("alice", "Responder"), make_person("bob", "Responder"))

    def save(n):
        mine, changes = Incident.objects.get(pk=incident.pk), {"title": f"Title {n}"}
        give = {"actor": people[n], "now": at(500), "changes": changes, "version": 0}
        return told(lambda: corrections.describe(incident=mine, **give))

    one_wins(at_once(2, save), "Somebody else was faster.")


def test_two_incidents_merged_into_each_other_leave_one():
    pair, carol = (make_incident(), make_incident()), make_person("carol", "Admin")

    def merge(n):
        give = {"actor": carol, "reason": "Same.", "now": at(500), "into": pair[1 - n]}
        return told(lambda: services.move(incident=pair[n], verb="merge", **give))

    one_wins(at_once(2, merge), "is not open")
    assert sorted(Incident.objects.values_list("state", flat=True)) == ["merged", "triage"]


def test_of_two_reviewers_one_approves_and_the_other_is_told():
    document = make_postmortem("in_review")
    people = make_person("alice", "Approver"), make_person("bob", "Approver")

    def review(n):
        mine = PostMortem.objects.get(pk=document.pk)
        if n:
            return told(lambda: postmortems.approve(document=mine, actor=people[1], now=at(900)))
        return told(
            lambda: postmortems.request_changes(document=mine, actor=people[0], reason="Why?", now=at(900))
        )

    one_wins(at_once(2, review), "by now; nothing was changed")


def test_an_edit_cannot_slip_under_an_approval():
    document, carol, bob = (
        make_postmortem("changes_requested"),
        make_person("carol", "Admin"),
        make_person("bob", "Admin"),
    )

    def act(n):
        mine = PostMortem.objects.get(pk=document.pk)
        if n:
            return told(
                lambda: postmortems.save_draft(document=mine, actor=carol, sections={"summary": "New."})
            )
        return told(lambda: submit_and_approve(mine, carol, bob))

    at_once(2, act)
    stored = PostMortem.objects.get(pk=document.pk)
    assert stored.state == "approved" and stored.content_hash == postmortems.content_hash(stored)
    assert stored.summary in ("New.", TEXTS["summary"])


def submit_and_approve(document, writer, reviewer):
    postmortems.submit(document=document, actor=writer, now=at(900))
    postmortems.approve(document=document, actor=reviewer, now=at(901))


def test_two_who_draft_at_once_get_the_same_document():
    incident, people = (
        make_incident("resolved"),
        (make_person("alice", "Responder"), make_person("bob", "Responder")),
    )
    drafts = at_once(
        2, lambda n: postmortems.draft_postmortem(incident=incident, author=people[n], now=at(900))
    )
    assert drafts[0].pk == drafts[1].pk and PostMortem.objects.count() == 1


def test_a_promise_is_ended_once():
    carol = make_person("carol", "Admin")
    item = action_items.add_action_item(
        document=make_postmortem(),
        title="Watch",
        kind="detect",
        owner=carol,
        due_on=at(0).date(),
        actor=carol,
        now=at(0),
    )

    def end(n):
        mine = ActionItem.objects.get(pk=item.pk)
        if n:
            return told(lambda: action_items.finish_action_item(item=mine, actor=carol, now=at(9)))
        return told(lambda: action_items.drop_action_item(item=mine, actor=carol, now=at(9), reason="No."))

    answers = at_once(2, end)
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert AuditEvent.objects.filter(action__in=("action_item.finish", "action_item.drop")).count() == 1
