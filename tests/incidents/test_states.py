"""Every state, every verb, every role: what is legal happens, all else changes nothing and says why."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.audit.models import AuditEvent
from apps.incidents import action_items, postmortems, services, states
from apps.incidents.models import ActionItem, Incident, IncidentState, PostMortem, PostMortemState
from reliability_portal.roles import ROLES
from tests.incidents.make import at, make_incident, make_person, make_postmortem, story

pytestmark = pytest.mark.django_db
# Written out, not computed: the table of states is what is under test.
WORKERS, LEADERS = {"Responder", "Commander", "Admin"}, {"Commander", "Admin"}
OPEN = ("triage", "investigating", "identified", "monitoring")
INCIDENT_TARGETS = {
    ("investigate", "triage"): "investigating", ("investigate", "identified"): "investigating",
    ("investigate", "monitoring"): "investigating", ("identify", "investigating"): "identified",
    ("mitigate", "triage"): "monitoring", ("mitigate", "investigating"): "monitoring",
    ("mitigate", "identified"): "monitoring", ("decline", "triage"): "declined",
    **{("resolve", state): "resolved" for state in OPEN}, **{("cancel", state): "cancelled" for state in OPEN},
    **{("merge", state): "merged" for state in OPEN}, ("reopen", "resolved"): "investigating",
    ("close", "resolved"): "closed",
}  # fmt: skip
VERBS = ["investigate", "identify", "mitigate", "decline", "resolve", "cancel", "merge", "reopen", "close"]
POSTMORTEM_TARGETS = {
    ("submit", "draft"): "in_review", ("submit", "changes_requested"): "in_review",
    ("request_changes", "in_review"): "changes_requested", ("approve", "in_review"): "approved",
    ("publish", "approved"): "published",
}  # fmt: skip
WRITERS, REVIEWERS = {"Responder", "Commander", "Approver", "Admin"}, {"Approver", "Admin"}


def may(role, verb, severity):
    lead = verb in ("cancel", "merge", "close") or (verb == "resolve" and severity in ("critical", "error"))
    return role in (LEADERS if lead else WORKERS)


def attempt(call):
    """done, refused (with a sentence) or forbidden."""
    try:
        call()
    except ValidationError as refusal:
        assert all(len(message) > 5 for message in refusal.messages)
        return "refused"
    except PermissionDenied:
        return "forbidden"
    return "done"


def test_the_tables_name_exactly_these_moves():
    assert {(m.verb, m.source): m.target for m in states.INCIDENT_MOVES} == INCIDENT_TARGETS
    assert {(m.verb, m.source): m.target for m in states.POSTMORTEM_MOVES} == POSTMORTEM_TARGETS
    assert set(VERBS) == set(states.verbs(states.INCIDENT_MOVES))


@pytest.mark.parametrize("severity", ["critical", "warning"])
@pytest.mark.parametrize("state", IncidentState.values)
def test_each_verb_of_each_role_on_an_incident(state, severity):
    incident, other = make_incident(state, severity), make_incident(severity=severity)
    if state == "resolved":
        make_postmortem("approved", incident=incident)
    people = {role: make_person(f"{role.lower()}-person", role) for role in ROLES}
    for verb in VERBS:
        for role, person in people.items():
            outcome, after = tried(incident, other, verb, person)
            legal = INCIDENT_TARGETS.get((verb, state))
            expected = "refused" if not legal else "done" if may(role, verb, severity) else "forbidden"
            assert (outcome, after) == (expected, legal if expected == "done" else state), (verb, role)


def tried(incident, other, verb, person):
    """The outcome and the state after it, undone again."""
    from django.db import transaction

    entries, events = incident.timeline.count(), AuditEvent.objects.count()
    with transaction.atomic():
        outcome = attempt(
            lambda: services.move(
                incident=incident, verb=verb, actor=person, reason="So it is.", now=at(3000),
                into=other if verb == "merge" else None,
            )
        )  # fmt: skip
        after = Incident.objects.get(pk=incident.pk).state
        grown = incident.timeline.count() - entries, AuditEvent.objects.count() - events
        assert grown == ((1, 1) if outcome == "done" else (0, 0))
        transaction.set_rollback(True)
    return outcome, after


@pytest.mark.parametrize("state", PostMortemState.values)
@pytest.mark.parametrize("role", ROLES)
def test_each_verb_of_each_role_on_a_post_mortem(state, role):
    from django.db import transaction

    document, person = make_postmortem(state), make_person("mallory", role)
    for verb in ("submit", "request_changes", "approve", "publish"):
        with transaction.atomic():
            given = {"reason": "Say more."} if verb == "request_changes" else {}
            outcome = attempt(
                lambda v=verb, g=given: getattr(postmortems, v)(
                    document=document, actor=person, now=at(999), **g
                )
            )
            legal = POSTMORTEM_TARGETS.get((verb, state))
            allowed = role in (REVIEWERS if verb in ("approve", "request_changes") else WRITERS)
            expected = "refused" if not legal else "done" if allowed else "forbidden"
            after = PostMortem.objects.get(pk=document.pk).state
            assert (outcome, after) == (expected, legal if expected == "done" else state), verb
            transaction.set_rollback(True)
        document.refresh_from_db()


@pytest.mark.parametrize(
    ("verb", "ends"),
    [("start", {"open": "in_progress"}), ("finish", {"open": "done", "in_progress": "done"}),
     ("drop", {"open": "wont_do", "in_progress": "wont_do"})],
)  # fmt: skip
@pytest.mark.parametrize("state", ActionItem.State.values)
def test_each_verb_on_an_action_item(verb, ends, state):
    carol = make_person("carol", "Admin")
    item = ActionItem.objects.create(
        postmortem=make_postmortem(),
        title="Watch the queue",
        owner=carol,
        due_on=at(0),
        created_at=at(0),
        state=state,
    )
    given = {"start": {}, "finish": {"now": at(9)}, "drop": {"now": at(9), "reason": "No need."}}[verb]
    act = getattr(action_items, f"{verb}_action_item")
    assert attempt(lambda: act(item=item, actor=make_person("mallory", "Viewer"), **given)) != "done"
    assert attempt(lambda: act(item=item, actor=carol, **given)) == ("done" if state in ends else "refused")
    item.refresh_from_db()
    assert item.state == ends.get(state, state)
    assert (item.closed_at is not None) == (state in ends and verb != "start")


@pytest.mark.parametrize(
    ("verb", "source"), [(m.verb, m.source) for m in states.INCIDENT_MOVES if m.needs_reason]
)
def test_what_must_be_explained_is_refused_without_a_reason(verb, source):
    incident, carol = make_incident(source), make_person("carol", "Admin")
    into = make_incident() if verb == "merge" else None
    with pytest.raises(ValidationError) as refusal:
        services.move(incident=incident, verb=verb, actor=carol, reason=" \n", now=at(500), into=into)
    assert "reason" in refusal.value.message_dict
    with pytest.raises(ValidationError, match="2,000"):
        services.move(incident=incident, verb=verb, actor=carol, reason="x" * 2001, now=at(500), into=into)
    services.move(incident=incident, verb=verb, actor=carol, reason="Not ours.", now=at(500), into=into)
    assert "Not ours." in story(incident)[-1]
    assert AuditEvent.objects.get(action=f"incident.{verb}", resource_id=incident.pk).reason == "Not ours."


def test_an_illegal_move_says_what_is_legal_and_who_came_first():
    incident = make_incident("resolved")
    with pytest.raises(ValidationError) as refusal:
        services.move(incident=incident, verb="identify", actor=make_person("bob", "Admin"), now=at(500))
    assert refusal.value.code == "illegal_move"
    said = refusal.value.messages[0]
    assert (
        "is resolved by now" in said and "reopen, close" in said and "carol at 12:03:00 UTC: Resolve" in said
    )


def test_an_unknown_verb_names_the_known_ones():
    with pytest.raises(ValidationError) as refusal:
        services.move(
            incident=make_incident(), verb="explode", actor=make_person("bob", "Admin"), now=at(500)
        )
    assert "investigate" in refusal.value.message_dict["verb"][0]
