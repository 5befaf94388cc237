"""What people decide about a group: guarded, refused with its present state, audited with before and after."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from apps.audit.models import AuditEvent
from apps.errors import services
from apps.errors.models import ErrorGroup
from apps.errors.storing import store_batch
from tests.at_once import at_once
from tests.errors.make import NOW, make_event, make_project
from tests.people import make_person

pytestmark = pytest.mark.django_db


def make_group(**facts) -> ErrorGroup:
    store_batch(events=[make_event(make_project(), 1, age_s=3600, release="1.0")])
    ErrorGroup.objects.update(**facts)
    return ErrorGroup.objects.get()


def audited() -> tuple[str, str, str, dict]:
    """Action, actor, reason and changes of the newest record about a group."""
    event = AuditEvent.objects.filter(action__startswith="error_group.").latest("id")
    return event.action, event.actor_label, event.reason, event.changes


def test_taking_a_group_makes_it_in_progress():
    group, alice = make_group(), make_person("alice")
    services.take_group(group=group, actor=alice)
    assert (group.assignee, group.resolution_status) == (alice, "In Progress")
    action, who, _, changes = audited()
    assert (action, who) == ("error_group.take", "alice")
    assert list(changes) == ["assignee"]


def test_resolving_remembers_who_when_what_was_done_and_in_which_release():
    group = make_group()
    services.resolve_group(group=group, actor=make_person("alice"), now=NOW, notes="index rebuilt")
    assert (group.status, group.resolved_at, group.resolved_by) == ("resolved", NOW, "alice")
    assert (group.resolution_notes, group.resolved_in_release) == ("index rebuilt", "1.0")
    assert (group.resolution_status, group.time_to_resolve_minutes) == ("Resolved", 60)
    action, who, reason, changes = audited()
    assert (action, who, reason) == ("error_group.resolve", "alice", "index rebuilt")
    assert changes["status"] == ["unresolved", "resolved"]
    assert set(changes) == {"status", "resolved_at", "resolved_by", "resolution_notes", "resolved_in_release"}


def test_ignoring_and_reopening_go_there_and_back():
    group, alice = make_group(), make_person("alice")
    services.ignore_group(group=group, actor=alice, reason="a robot")
    assert (group.status, group.resolution_status) == ("ignored", "Ignored")
    assert audited()[2:] == ("a robot", {"status": ["unresolved", "ignored"]})
    services.resolve_group(group=group, actor=alice, now=NOW)
    services.reopen_group(group=group, actor=alice)
    assert (group.status, group.resolved_at, group.resolved_by, group.resolved_in_release) == (
        "unresolved",
        None,
        "",
        "",
    )
    assert audited()[3]["status"] == ["resolved", "unresolved"]


MOVES = {
    "take": lambda g, who: services.take_group(group=g, actor=who),
    "resolve": lambda g, who: services.resolve_group(group=g, actor=who, now=NOW),
    "ignore": lambda g, who: services.ignore_group(group=g, actor=who),
    "reopen": lambda g, who: services.reopen_group(group=g, actor=who),
}
FROM = {
    "take": {"unresolved"}, "resolve": {"unresolved", "ignored"}, "ignore": {"unresolved"},
    "reopen": {"resolved", "ignored"},
}  # fmt: skip


@pytest.mark.parametrize("status", ["unresolved", "resolved", "ignored"])
@pytest.mark.parametrize("verb", MOVES)
def test_each_verb_is_for_some_states_and_refused_in_the_others(verb, status):
    group, alice = (
        make_group(status=status, resolved_at=NOW if status == "resolved" else None),
        make_person("alice"),
    )
    if status in FROM[verb]:
        MOVES[verb](group, alice)
        assert audited()[0] == f"error_group.{verb}"
        return
    with pytest.raises(ValidationError) as refused:
        MOVES[verb](group, alice)
    assert refused.value.messages == [f"This group is {status} by now; nothing was changed."]
    group.refresh_from_db()
    assert group.status == status
    assert not AuditEvent.objects.filter(action__startswith="error_group.").exists()


def test_a_page_that_is_out_of_date_changes_nothing_and_says_how_it_stands():
    group, alice = make_group(), make_person("alice")
    old = ErrorGroup.objects.get()
    services.resolve_group(group=group, actor=alice, now=NOW)
    with pytest.raises(ValidationError, match="resolved by now"):
        services.ignore_group(group=old, actor=alice)


def test_who_has_a_group_is_not_pushed_aside():
    group, alice, bob = make_group(), make_person("alice"), make_person("bob")
    services.take_group(group=group, actor=alice)
    with pytest.raises(ValidationError, match="taken by alice by now"):
        services.take_group(group=group, actor=bob)
    group.refresh_from_db()
    assert group.assignee == alice


def test_what_drains_counted_meanwhile_does_not_stand_in_the_audit_record():
    group, alice = make_group(), make_person("alice")
    store_batch(events=[make_event(group.project_id, 2, release="1.1", who="bob")])
    services.resolve_group(group=group, actor=alice, now=NOW)
    assert not {"event_count", "user_count", "last_seen", "last_event_id"} & set(audited()[3])
    assert group.resolved_in_release == "1.1"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_at_once_one_has_it():
    make_group()
    people = [make_person(name) for name in ("alice", "bob", "carol")]

    def take(number):
        try:
            services.take_group(group=ErrorGroup.objects.get(), actor=people[number])
        except ValidationError:
            return 0
        return 1

    assert sum(at_once(3, take)) == 1
    assert AuditEvent.objects.filter(action="error_group.take").count() == 1


@pytest.mark.django_db(transaction=True)
def test_resolving_while_a_drain_counts_loses_neither():
    group = make_group()
    alice = make_person("alice")

    def work(number):
        if number:
            return store_batch(events=[make_event(group.project_id, 10 + number, age_s=60)]).stored
        services.resolve_group(group=ErrorGroup.objects.get(), actor=alice, now=NOW - timedelta(seconds=30))
        return 0

    assert sum(at_once(4, work)) == 3
    group.refresh_from_db()
    assert (group.status, group.event_count) == ("resolved", 4)
