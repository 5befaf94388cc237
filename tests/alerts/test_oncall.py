"""On-call in the database: facts, overrides, imports, links, and what is odd with a schedule."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts.models.oncall import CalendarLink, Override, Schedule
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import queries as oncall_queries
from apps.alerts.oncall import rotations
from apps.alerts.oncall import services as oncall
from apps.alerts.oncall.checks import Said, warnings
from apps.alerts.oncall.page import sight
from apps.audit.models import AuditEvent
from apps.projects.models import Team
from tests.alerts.make import NOW, at, make_user
from tests.alerts.make_oncall import event, ical, make_layer, make_override, make_schedule
from tests.alerts.test_rotations import BERLIN

pytestmark = pytest.mark.django_db


def facts(schedule, now=NOW):
    return oncall_facts.facts_of([schedule], now)[schedule.pk]


def who(schedule, when=NOW):
    return [name.split()[0].lower() for name in oncall_queries.named(*_people(schedule, when))]


def _people(schedule, when):
    people = rotations.on_call(facts(schedule), when)
    return people, oncall_queries.names_of(people)


def actions():
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


# --- Facts ------------------------------------------------------------------------------------------------
def test_turns_are_numbers_and_equal_numbers_are_on_call_together():
    schedule = make_schedule({"turns": (("alice", "carol"), "bob")})
    assert who(schedule) == ["alice", "carol"]  # third week: again the first turn
    assert who(schedule, at(7 * 86_400)) == ["bob"]


def test_somebody_who_left_keeps_the_turn_which_a_weaker_layer_takes():
    schedule = make_schedule({"turns": ("alice", "bob")}, {"turns": ("carol",)})
    make_user("alice").__class__.objects.filter(username="alice").update(is_active=False)
    assert who(schedule) == ["carol"]
    assert who(schedule, at(7 * 86_400)) == ["bob"]


def test_facts_are_read_anew_each_time():
    schedule = make_schedule({})
    assert who(schedule) == ["alice"]
    make_override(schedule)
    assert who(schedule) == ["carol"]


def test_an_override_by_somebody_who_left_does_not_hide_who_is_there():
    schedule = make_schedule({})
    stand_in = make_override(schedule)
    assert who(schedule) == ["carol"]
    stand_in.user.is_active = False
    stand_in.user.save()
    assert who(schedule) == ["alice"]


def test_ten_schedules_cost_as_many_queries_as_one():
    make_schedule({}, name="One")
    with CaptureQueriesContext(
        connection,
    ) as few:
        oncall_queries.on_call_now(NOW)
    for n in range(10):
        make_override(make_schedule({}, {"turns": ("carol",)}, name=f"Further {n}"))
    with CaptureQueriesContext(connection) as many:
        assert len(oncall_queries.on_call_now(NOW)) == 11
    assert len(many) == len(few)


# --- Standing in ------------------------------------------------------------------------------------------
def test_an_override_counts_at_once_and_is_audited_and_so_is_its_removal():
    schedule = make_schedule({})
    alice = make_user()
    override = oncall.add_override(
        schedule=schedule,
        user=make_user("carol"),
        starts_at=NOW,
        ends_at=at(3600),
        reason="Dentist",
        actor=alice,
    )
    assert who(schedule) == ["carol"] and who(schedule, at(3600)) == ["alice"]
    oncall.remove_override(override=override, actor=alice)
    assert who(schedule) == ["alice"]
    assert actions() == ["override.create", "override.delete"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ends_at": NOW}, "ends_at"),
        ({"ends_at": NOW - timedelta(hours=1)}, "ends_at"),
        ({"ends_at": NOW + timedelta(days=400)}, "ends_at"),
        ({"reason": "x" * 201}, "reason"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused_at_its_field(given, field):
    facts = {"starts_at": NOW, "ends_at": at(3600), **given}
    with pytest.raises(ValidationError) as refused:
        oncall.add_override(schedule=make_schedule({}), user=make_user(), **facts)
    assert field in refused.value.message_dict and not Override.objects.exists()


def test_somebody_who_left_does_not_stand_in():
    gone = make_user("mallory", is_active=False)
    with pytest.raises(ValidationError, match="no longer active"):
        oncall.add_override(schedule=make_schedule({}), user=gone, starts_at=NOW, ends_at=at(60))


# --- Reading a calendar in --------------------------------------------------------------------------------
def take(schedule, *events, now=NOW):
    return oncall.import_overrides(schedule=schedule, data=ical(*events), now=now, actor=make_user())


def test_a_calendar_becomes_overrides_by_user_name_or_address_whatever_the_case():
    schedule = make_schedule({})
    make_user("bob"), make_user("carol")
    said = take(
        schedule,
        event("1", who="BOB"),
        event("2", who="Carol@Example.org", starts=datetime(2026, 12, 3), ends=datetime(2026, 12, 4)),
    )
    assert (said.made, said.kept, said.removed, said.past) == (2, 0, 0, 0)
    assert who(schedule, datetime(2026, 12, 1, 10, tzinfo=UTC)) == ["bob"]
    assert who(schedule, datetime(2026, 12, 3, 10, tzinfo=UTC)) == ["carol"]
    assert actions()[-1] == "schedule.import"


def test_one_event_that_is_not_clear_leaves_nothing_half_saved():
    schedule = make_schedule({})
    make_user("bob")
    with pytest.raises(ValidationError, match="'Nobody in particular' is no user name"):
        take(schedule, event("1"), event("2", who="Nobody in particular"))
    assert not Override.objects.exists() and not AuditEvent.objects.exists()


def test_an_address_of_two_people_is_refused():
    make_user("bob"), make_user("carol", email="bob@example.org")
    with pytest.raises(ValidationError, match="names more than one person"):
        take(make_schedule({}), event(who="bob@example.org"))


def test_the_same_calendar_again_changes_nothing_and_a_changed_one_is_followed():
    schedule = make_schedule({})
    make_user("bob"), make_user("carol")
    by_hand = make_override(
        schedule, starts_at=datetime(2026, 12, 24, tzinfo=UTC), ends_at=datetime(2026, 12, 25, tzinfo=UTC)
    )
    daily = event("1", more="RRULE:FREQ=DAILY;COUNT=3")
    take(schedule, daily, event("2"))
    ids = set(Override.objects.values_list("pk", flat=True))
    assert take(schedule, daily, event("2")).kept == 4
    assert set(Override.objects.values_list("pk", flat=True)) == ids
    said = take(
        schedule,
        event("1", who="Carol", more="RRULE:FREQ=DAILY;COUNT=2"),
        event("2", more="STATUS:CANCELLED"),
    )
    assert (said.made, said.kept, said.removed) == (2, 0, 4)
    assert set(Override.objects.values_list("user__username", flat=True)) == {"carol"}
    assert Override.objects.filter(pk=by_hand.pk).exists()


def test_what_is_over_is_counted_and_not_saved():
    make_user("bob")
    past = event("1", starts=datetime(2025, 1, 1), ends=datetime(2025, 1, 2))
    assert take(make_schedule({}), past, event("2")).past == 1
    assert Override.objects.count() == 1


def test_text_of_a_calendar_that_postgresql_cannot_hold_is_repaired():
    make_user("bob")
    data = ical(event("a\0b", more="DESCRIPTION:x\0y"))
    oncall.import_overrides(schedule=make_schedule({}), data=data, now=NOW)
    held = Override.objects.get()
    assert "\0" not in held.reason + held.source_uid


# --- Links ------------------------------------------------------------------------------------------------
def test_the_secret_of_a_link_is_nowhere_in_the_database():
    link, secret = oncall.create_link(subject=make_user(), now=NOW, actor=make_user())
    stored = CalendarLink.objects.values().get()
    assert secret not in str(stored) and secret.encode() not in bytes(stored["digest"])
    assert secret not in str(list(AuditEvent.objects.values()))
    assert secret.startswith(link.prefix) and len(secret) - len(link.prefix) >= 36


def test_a_link_opens_until_it_is_revoked_or_its_person_leaves():
    alice = make_user()
    link, secret = oncall.create_link(subject=alice, now=NOW)
    assert oncall.find_link(secret, now=NOW) == link
    alice.is_active = False
    alice.save()
    assert oncall.find_link(secret, now=NOW) is None
    alice.is_active = True
    alice.save()
    assert oncall.revoke_link(link=link, now=NOW) and not oncall.revoke_link(link=link, now=NOW)
    assert oncall.find_link(secret, now=NOW) is None
    assert actions() == ["calendar_link.create", "calendar_link.revoke"]


@pytest.mark.parametrize("given", ["", "cal_", "cal_" + "A" * 43, "x" * 10_000])
def test_a_guess_opens_nothing(given):
    oncall.create_link(subject=make_user(), now=NOW)
    assert oncall.find_link(given, now=NOW) is None


def test_a_person_a_schedule_and_a_team_have_their_calendars():
    shop = Team.objects.create(name="Shop", slug="shop")
    one = make_schedule({}, name="One", team=shop)
    make_schedule({"turns": ("carol",)}, name="Two")
    shown = {}
    for subject in (make_user("bob"), one, shop, make_user("carol")):
        link, _ = oncall.create_link(subject=subject, now=NOW)
        _, entries = oncall_queries.calendar_of(link, NOW)
        shown[str(subject)] = {entry.summary for entry in entries}
    both = {"Alice on call: One", "Bob on call: One"}
    assert shown == {"bob": {"Bob on call: One"}, "One": both, "Shop": both, "carol": {"Carol on call: Two"}}


def test_an_event_keeps_its_id_from_week_to_week_and_an_override_gets_its_own():
    schedule = make_schedule({})
    make_override(schedule, starts_at=at(9 * 86_400), ends_at=at(9 * 86_400 + 60))
    ids = [
        {e.uid: (e.starts, e.ends) for e in oncall_queries.entries_of([schedule], NOW + timedelta(days=days))}
        for days in (0, 0.5, 20)
    ]
    assert ids[0] == ids[1]
    shared = {uid for uid, (_, ends) in ids[0].items() if ends > NOW - timedelta(days=11)}
    assert shared <= set(ids[2]) and all(ids[2][uid] == ids[0][uid] for uid in shared)
    assert sum("-o" in uid for uid in ids[0]) == 1


# --- What is odd ------------------------------------------------------------------------------------------
def warned(*layers, overrides=()):
    schedule = make_schedule(*layers, name=f"Schedule {Schedule.objects.count()}")
    for override in overrides:
        make_override(schedule, **override)
    return " ".join(w.text for w in sight(schedule, now=NOW, days=14, zone=BERLIN).warnings)


OFFICE = {"windows": "Mon-Fri 09:00-17:00"}


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([], "It has no layers"),
        ([{"turns": ()}], "Layer 1 has nobody in it."),
        ([OFFICE], "Nobody is on call for 21 d"),
        ([{"starts_on": date(2027, 3, 1)}], "begins more than 28 days from now"),
        ([{"starts_on": date(2026, 1, 1), "ends_on": date(2026, 2, 1)}], "Layer 1 has ended."),
        ([{}, {"turns": ("carol",)}], "Layer 2 decides nothing in the next 28 days"),
        ([OFFICE, {"order": 1, "name": "Other"}], "Layers of equal strength: Layer 1, Other."),
        (
            [{"every": 1, "unit": "days", "turns": ("alice", "bob", "carol", "alice", "bob", "carol", "bob"),
              "windows": "Sat 00:00-24:00", "handover_at": "00:00"}],
            "the turns of alice",
        ),
    ],
)  # fmt: skip
def test_what_is_odd_with_a_schedule_is_said_in_words(layers, text):
    assert text.lower() in warned(*layers).lower()


def test_a_schedule_without_a_gap_has_nothing_to_say():
    assert warned({}) == "" == warned(OFFICE, {"turns": ("carol",)})


def test_overlapping_overrides_say_who_counts():
    make_user("bob"), make_user("carol")
    text = warned({}, overrides=[{"name": "bob"}, {"name": "carol", "starts_at": at(60)}])
    assert "Overrides of Bob and Carol overlap: Carol counts" in text


def test_somebody_who_left_is_named():
    make_user("bob", is_active=False)
    assert "Bob is no longer active" in warned({})


def test_warnings_need_no_database():
    layer = rotations.Layer(1, "L", BERLIN, (), datetime(2026, 1, 1), timedelta(weeks=1))
    found = warnings(rotations.Schedule(1, (layer,)), Said({}), NOW)
    assert [w.bad for w in found] == [True, True]


# --- The page ---------------------------------------------------------------------------------------------
def test_the_timeline_fills_every_day_and_gaps_are_nobodys():
    schedule = make_schedule(OFFICE)
    seen = sight(schedule, now=NOW, days=14, zone=BERLIN)
    assert len(seen.lines) == 14
    for line in seen.lines:
        assert line.bars[0].start == 1 and sum(bar.width for bar in line.bars) == 48
        assert all(
            one.start + one.width == other.start for one, other in zip(line.bars, line.bars[1:], strict=False)
        )
    monday = seen.lines[1]
    assert [(bar.label, bar.start, bar.width) for bar in monday.bars] == [
        ("Nobody", 1, 18),
        ("Bob", 19, 16),
        ("Nobody", 35, 14),
    ]
    assert monday.bars[0].tone == "oncall-gap" and seen.people == (
        ("Alice", "oncall-c1"),
        ("Bob", "oncall-c2"),
    )
    assert seen.rows[0].is_now and not seen.rows[0].people


def test_rows_give_times_here_and_where_the_schedule_lives():
    schedule = make_schedule({}, zone="Asia/Kolkata")
    row = sight(schedule, now=NOW, days=14, zone=BERLIN).rows[0]
    assert (row.here[1], row.there[1]) == ("Mon 23 Nov 04:30 CET", "Mon 23 Nov 09:00 IST")


def test_a_layer_may_live_in_another_zone_than_its_schedule():
    schedule = make_schedule(zone="Europe/Berlin")
    make_layer(schedule, zone="America/New_York", order=1)
    held = facts(schedule).layers[0]
    assert held.zone.key == "America/New_York"
    assert rotations.current(facts(schedule), NOW).ends == datetime(2026, 11, 23, 14, tzinfo=UTC)
