"""Handover notices, and how the load is shared."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts import services, tasks
from apps.alerts.models import ContactMethod, Escalation, Page, PageState
from apps.alerts.models.oncall import PersonZone
from apps.alerts.oncall import figures as oncall_figures
from apps.alerts.oncall import nights as oncall_nights
from tests.alerts.make import NOW, at, make_alert, make_user
from tests.alerts.make_oncall import make_override, make_schedule

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)  # 09:00 in Berlin: Alice → Bob


def told():
    return list(Page.objects.order_by("id").values_list("user__username", "subject"))


def hand_over(now):
    return tasks.handover(now=now, slot=0).pieces


# --- Handover ---------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_whose_shift_begins_is_told_once_however_often_the_tick_runs():
    make_schedule({"turns": ("alice", "bob")})
    assert hand_over(MONDAY - timedelta(seconds=1)) == 0
    assert [hand_over(MONDAY + timedelta(minutes=n)) for n in (0, 1, 29)] == [1, 0, 0]
    page = Page.objects.get()
    assert (page.user.username, page.kind, page.address) == ("bob", "email", "bob@example.org")
    assert page.escalation_id is None and page.subject == "[ON CALL] Payments until 30 Nov 08:00 UTC"
    assert "Before you: Alice. After you: Alice." in page.body and "No alert is open." in page.body


@pytest.mark.django_db
def test_a_tick_that_comes_half_an_hour_late_still_tells_and_a_later_one_is_silent():
    make_schedule({"turns": ("alice", "bob")})
    assert hand_over(MONDAY + timedelta(minutes=29)) == 1
    Page.objects.all().delete()
    assert hand_over(MONDAY + timedelta(minutes=31)) == 0


@pytest.mark.django_db
def test_the_notice_names_what_is_open_and_speaks_in_the_persons_own_zone():
    make_schedule({"turns": ("alice", "bob")})
    PersonZone.objects.create(user=make_user("bob"), zone="Asia/Kolkata")
    alert = make_alert()
    services.acknowledge(alert=alert, act=services.Act(by="alice", at=NOW))
    hand_over(MONDAY)
    page = Page.objects.get(user__username="bob")
    assert "until 30 Nov 13:30 IST" in page.subject and "[critical] Payments are failing" in page.body


@pytest.mark.django_db
def test_whoever_stays_on_call_takes_nothing_over():
    make_schedule({"turns": ("alice", ("alice", "bob"))})
    hand_over(MONDAY)
    assert [user for user, _ in told()] == ["bob"]


@pytest.mark.django_db
def test_who_stands_in_is_told_and_who_comes_back_too_but_only_where_it_is_wanted():
    for name, wanted in (("Loud", True), ("Quiet", False)):
        schedule = make_schedule({"turns": ("alice",)}, name=name, handover_mail=wanted)
        make_override(schedule, "bob")
    hand_over(NOW)
    hand_over(at(3600))
    assert told() == [
        ("bob", "[ON CALL] Loud until 13:00 UTC"),
        ("alice", "[ON CALL] Loud until further notice"),
    ]


@pytest.mark.django_db
def test_mail_is_chosen_before_other_ways_and_who_has_no_way_is_passed_over():
    make_schedule({"turns": ("alice", ("bob", "carol"))})
    ContactMethod.objects.create(
        user=make_user("bob"), kind="email", address="bob@home.example", verified_at=NOW
    )
    make_user("carol").__class__.objects.filter(username="carol").update(email="")
    hand_over(MONDAY)
    assert list(Page.objects.values_list("address", flat=True)) == ["bob@home.example"]


# --- Nights -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("when", "night"),
    [
        (datetime(2026, 11, 22, 20, 59, tzinfo=UTC), None),
        (datetime(2026, 11, 22, 21, 0, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 23, 4, 59, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 23, 5, 0, tzinfo=UTC), None),
    ],
)
def test_a_night_is_named_after_its_evening_on_the_persons_wall(when, night):
    assert oncall_nights.night_of(when, BERLIN) == night


def test_the_nights_of_the_changed_clock_last_seven_and_nine_hours():
    nights = [(datetime(2026, *day, 12, tzinfo=UTC), datetime(2026, *day, 12, tzinfo=UTC) + timedelta(days=1))
              for day in ((3, 27), (3, 28), (10, 24))]  # fmt: skip
    hours = [oncall_nights.night_length(*night, BERLIN) / timedelta(hours=1) for night in nights]
    assert hours == [8, 7, 9]


@given(st.lists(st.integers(0, 60 * 24 * 14), min_size=2, max_size=6))
def test_the_night_of_a_whole_is_the_sum_of_the_nights_of_its_parts(minutes):
    edges = [datetime(2026, 10, 20, tzinfo=UTC) + timedelta(minutes=n) for n in sorted(minutes)]
    parts = [oncall_nights.night_length(a, b, BERLIN) for a, b in pairwise(edges)]
    assert sum(parts, timedelta()) == oncall_nights.night_length(edges[0], edges[-1], BERLIN)


# --- Load -------------------------------------------------------------------------------------------------
def make_sent(user, when, alert=None, state=PageState.SENT):
    alert = alert or make_alert()
    run, _ = Escalation.objects.get_or_create(
        alert=alert, epoch=1, defaults={"policy_name": "P", "plan": {}, "next_at": when, "started_at": when}
    )
    n = Page.objects.count()
    return Page.objects.create(
        key=f"k{n}", escalation=run, alert=alert, user=user, target_label="x", kind="email", address=f"a{n}",
        subject="s", body="b", state=state, sent_at=when, next_try_at=when, deadline=when, created_at=when,
    )  # fmt: skip


@pytest.mark.django_db
def test_the_load_counts_pages_and_nights_by_each_persons_own_clock():
    make_schedule({"turns": ("alice", "bob")})
    alice, bob = make_user("alice"), make_user("bob")
    PersonZone.objects.create(user=alice, zone="Europe/Berlin")
    PersonZone.objects.create(user=bob, zone="Asia/Kolkata")
    midnight, alert = datetime(2026, 11, 20, 23, 0, tzinfo=UTC), make_alert()
    for minutes in (0, 20, 24 * 60):
        make_sent(alice, midnight + timedelta(minutes=minutes), alert)
    make_sent(bob, datetime(2026, 11, 20, 16, 29, tzinfo=UTC))  # 21:59
    make_sent(bob, datetime(2026, 11, 20, 16, 30, tzinfo=UTC))  # 22:00
    make_sent(bob, midnight, state=PageState.FAILED)
    make_sent(bob, NOW - timedelta(days=40))
    found = {one.name: one for one in oncall_figures.loads(start=NOW - timedelta(days=20), end=NOW)}
    assert (found["Alice"].pages, found["Alice"].night_pages, found["Alice"].nights) == (3, 3, 2)
    assert (found["Alice"].alerts, found["Bob"].alerts) == (1, 2)
    assert (found["Bob"].pages, found["Bob"].night_pages, found["Bob"].nights) == (2, 1, 1)
    assert found["Alice"].hours == pytest.approx(164 + 148, abs=0.01) and found["Bob"].hours == pytest.approx(
        168
    )
    assert found["Bob"].night_hours == pytest.approx(56) and found["Bob"].zone == "Asia/Kolkata"


@pytest.mark.django_db
def test_the_load_is_a_page_for_who_may_see_schedules(client):
    make_schedule({"turns": ("alice", "bob")})
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    for days in ("7", "90", "-1", "x" * 50):
        assert client.get(reverse("alerts:load"), {"days": days}).status_code == 200
    client.force_login(make_user("mallory", is_staff=True))
    assert client.get(reverse("alerts:load")).status_code == 403
