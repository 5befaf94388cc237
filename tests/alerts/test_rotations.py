"""Who is on call, against an oracle that goes minute by minute with a clock that it reads itself."""

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts.oncall import rotations
from apps.alerts.oncall.rotations import Layer, Override, Schedule, Shift
from apps.alerts.oncall.windows import DAY_MIN, WEEK_MIN, Window, parse

MINUTE = timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")
ALICE, BOB, CAROL = 1, 2, 3


def utc(*when):
    return datetime(*when, tzinfo=UTC)


def make_layer(zone="Europe/Berlin", turns=((ALICE,), (BOB,), (CAROL,)), starts=datetime(2026, 1, 5, 9), weeks=1,
               windows="", id=1, **facts):  # fmt: skip
    period = facts.pop("period", timedelta(weeks=weeks))
    return Layer(id, f"Layer {id}", ZoneInfo(zone), turns, starts, period, parse(windows), **facts)


# --- The oracle -------------------------------------------------------------------------------------------
def oracle(schedule, start, end):
    """People of each minute. A clock on the wall that is put back has shown a time already: what it had reached
    counts until it gets there again."""
    reached = {layer.zone: datetime.min for layer in schedule.layers}
    at = start - timedelta(hours=30)
    while at < end:
        for zone, before in reached.items():
            wall = at.astimezone(zone).replace(tzinfo=None)
            reached[zone] = max(wall, before)
        if at >= start:
            yield at, _oracle_at(schedule, at, reached)
        at += MINUTE


def _oracle_at(schedule, at, reached):
    for override in reversed(schedule.overrides):
        if override.starts <= at < override.ends:
            return (override.person,)
    for layer in schedule.layers:
        wall = reached[layer.zone]
        if not layer.turns or wall < layer.starts or (layer.ends and wall >= layer.ends):
            continue
        turn = layer.turns[int((wall - layer.starts) / layer.period) % len(layer.turns)]
        if turn and (not layer.windows or _is_open(layer.windows, wall)):
            return turn
    return ()


def _is_open(windows, wall):
    minute = wall.weekday() * DAY_MIN + wall.hour * 60 + wall.minute
    return any(w.start <= minute < w.end for w in windows)


def by_the_minute(found):
    for shift in found:
        at = shift.starts
        while at < shift.ends:
            yield at, shift.people
            at += MINUTE


def assert_same_as_the_oracle(schedule, start, end):
    """Shifts in every minute, and `on_call` by itself in every eleventh and around every edge."""
    found = rotations.shifts(schedule, start, end)
    edges = {shift.starts for shift in found} | {shift.ends - MINUTE for shift in found}
    wrong = []
    pairs = zip(by_the_minute(found), oracle(schedule, start, end), strict=True)
    for n, ((at, got), (also, want)) in enumerate(pairs):
        asked = rotations.on_call(schedule, at) if at in edges or n % 11 == 0 else want
        if (at, got, asked) != (also, want, want):
            wrong.append((at, got, asked, want))
    assert wrong == [], wrong[:3]


# --- A year in zones with changes of the clock ------------------------------------------------------------
FULL = os.environ.get("PORTAL_CI") == "1"
CHANGES = {
    "Europe/Berlin": [(2026, 3, 29), (2026, 10, 25)],
    "America/New_York": [(2026, 3, 8), (2026, 11, 1)],
    "Asia/Kolkata": [(2026, 6, 1)],
    "Australia/Lord_Howe": [(2026, 4, 4), (2026, 10, 3)],  # by half an hour
    "Pacific/Apia": [(2011, 9, 24), (2011, 12, 30)],  # 30 December did not take place
}


@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_a_year_agrees_with_the_oracle_in_every_minute(zone):
    """The whole year under PORTAL_CI=1, else the days around the changes of the clock."""
    year = CHANGES[zone][0][0]
    nights = make_layer(zone, ((ALICE,), (BOB, CAROL)), datetime(year - 1, 12, 30, 17), period=timedelta(days=1),
                        windows="Mon-Fri 17:00-09:00; Sat,Sun 00:00-24:00", id=1)  # fmt: skip
    days = make_layer(zone, starts=datetime(year, 1, 8, 2, 30), windows="Mon-Fri 02:15-19:00", id=2)
    hours = make_layer(
        zone, ((BOB,), (CAROL,)), datetime(year, 3, 1, 1), period=timedelta(hours=5), id=3,
        ends=datetime(year, 12, 30, 12),
    )  # fmt: skip
    stands_in = (
        Override(1, CAROL, utc(year, 3, 28, 20), utc(year, 3, 29, 20)),
        Override(2, ALICE, utc(year, 3, 29, 0, 30), utc(year, 3, 29, 1, 30)),
        Override(3, BOB, utc(year, 12, 29, 3), utc(year, 12, 31, 3)),
    )
    schedule = Schedule(1, (nights, days, hours), stands_in)
    near = timedelta(days=6)
    around = [(utc(*change) - near, utc(*change) + near) for change in CHANGES[zone]]
    for start, end in [(utc(year, 1, 1), utc(year + 1, 1, 1))] if FULL else around:
        assert_same_as_the_oracle(schedule, start, end)


# --- Random schedules -------------------------------------------------------------------------------------
zones = st.sampled_from(sorted(CHANGES))
people = st.integers(1, 5)
turns = st.lists(st.lists(people, max_size=2, unique=True).map(tuple), max_size=4).map(tuple)
periods = st.one_of(
    st.integers(1, 30).map(lambda n: timedelta(hours=n)),
    st.integers(1, 10).map(lambda n: timedelta(days=n)),
    st.integers(1, 2).map(lambda n: timedelta(weeks=n)),
)


@st.composite
def windows(draw):
    """Some cut out of the week, in order, apart from each other."""
    edges = sorted(draw(st.sets(st.integers(0, WEEK_MIN // 15).map(lambda n: n * 15), max_size=8)))
    return tuple(Window(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def cases(draw):
    """A schedule and a range of days around a change of the clock."""
    home = draw(zones)
    middle = utc(*draw(st.sampled_from(CHANGES[home])))
    minutes = st.integers(-4 * DAY_MIN, 4 * DAY_MIN).map(lambda n: n * MINUTE)
    layers = []
    for number in range(draw(st.integers(0, 3))):
        zone = ZoneInfo(home if draw(st.booleans()) else draw(zones))
        starts = middle.replace(tzinfo=None) - timedelta(days=draw(st.integers(-2, 400))) + draw(minutes)
        ends = middle.replace(tzinfo=None) + draw(minutes) if draw(st.booleans()) else None
        layers.append(Layer(number, "", zone, draw(turns), starts, draw(periods), draw(windows()), ends))
    overrides = []
    for number in range(draw(st.integers(0, 3))):
        begins = middle + draw(minutes)
        length = draw(st.integers(1, 2 * DAY_MIN)) * MINUTE
        overrides.append(Override(number, draw(people), begins, begins + length))
    start = middle - timedelta(days=2) + draw(st.integers(0, DAY_MIN)) * MINUTE
    return (
        Schedule(1, tuple(layers), tuple(overrides)),
        start,
        start + timedelta(days=draw(st.integers(1, 4))),
    )


@given(cases())
@settings(max_examples=600 if FULL else 60, deadline=None)
def test_random_schedules_agree_with_the_oracle_in_every_minute(case):
    assert_same_as_the_oracle(*case)


@given(cases())
@settings(max_examples=400 if FULL else 50, deadline=None)
def test_shifts_fill_the_range_and_neighbours_differ(case):
    schedule, start, end = case
    found = rotations.shifts(schedule, start, end)
    assert found[0].starts == start and found[-1].ends == end
    assert all(one.ends == other.starts and one.starts < one.ends for one, other in pairwise(found))
    assert not any(one.is_gap and other.is_gap for one, other in pairwise(found))


@given(cases(), st.integers(0, 4 * DAY_MIN * 60))
@settings(max_examples=1_000 if FULL else 100, deadline=None)
def test_on_call_is_the_shift_that_holds_the_instant_and_an_override_wins(case, seconds):
    schedule, start, end = case
    at = start + timedelta(seconds=seconds) % (end - start)
    (held,) = [shift for shift in rotations.shifts(schedule, start, end) if shift.starts <= at < shift.ends]
    assert rotations.on_call(schedule, at) == held.people
    standing_in = [o for o in schedule.overrides if o.starts <= at < o.ends]
    if standing_in:
        assert held.people == (standing_in[-1].person,) and held.override == standing_in[-1].id


@given(cases())
@settings(max_examples=300 if FULL else 40, deadline=None)
def test_a_whole_shift_is_the_same_whenever_it_is_asked_for(case):
    schedule, start, end = case
    later = start + (end - start) / 2
    early = {s for s in rotations.whole_shifts(schedule, start, end) if s.ends > later}
    late = set(rotations.whole_shifts(schedule, later, end))
    assert early == late
    assert {s.cut(start, end) for s in rotations.whole_shifts(schedule, start, end)} == {
        s for s in rotations.shifts(schedule, start, end) if not s.is_gap
    }


# --- What the rules say, by example -----------------------------------------------------------------------
def test_a_week_is_a_week_on_the_wall_of_167_and_169_hours_when_the_clock_is_changed():
    schedule = Schedule(1, (make_layer(),))
    hours = [
        (s.ends - s.starts) / timedelta(hours=1)
        for s in rotations.shifts(schedule, utc(2026, 1, 5, 8), utc(2026, 12, 28, 8))
    ]
    assert sorted(set(hours)) == [167, 168, 169] and hours.count(167) == hours.count(169) == 1


def test_a_handover_at_a_time_that_does_not_exist_is_at_the_jump():
    layer = make_layer(starts=datetime(2026, 3, 28, 2, 30), period=timedelta(days=1))
    found = rotations.shifts(Schedule(1, (layer,)), utc(2026, 3, 28, 12), utc(2026, 3, 30, 12))
    assert [s.starts for s in found][1:] == [utc(2026, 3, 29, 1), utc(2026, 3, 30, 0, 30)]


def test_a_handover_at_a_time_that_comes_twice_is_at_its_first_coming():
    layer = make_layer(starts=datetime(2026, 10, 24, 2, 30), period=timedelta(days=1))
    found = rotations.shifts(Schedule(1, (layer,)), utc(2026, 10, 24, 12), utc(2026, 10, 26, 12))
    assert [s.starts for s in found][1:] == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


def test_after_the_clock_was_put_back_a_handover_is_not_taken_back():
    at_half_past_two = make_layer(turns=((ALICE,), (BOB,)), starts=datetime(2026, 10, 18, 2, 30))
    schedule, second_ten_past = Schedule(1, (at_half_past_two,)), utc(2026, 10, 25, 1, 10)
    assert rotations.on_call(schedule, second_ten_past) == (BOB,)
    assert rotations.shifts(schedule, second_ten_past, second_ten_past + MINUTE)[0].people == (BOB,)


def test_of_two_overrides_at_one_time_the_later_in_the_list_counts():
    both = (
        Override(1, ALICE, utc(2026, 1, 1), utc(2026, 1, 3)),
        Override(2, BOB, utc(2026, 1, 2), utc(2026, 1, 4)),
    )
    schedule = Schedule(1, (), both)
    assert [rotations.on_call(schedule, utc(2026, 1, day, 12)) for day in (1, 2, 3)] == [
        (ALICE,),
        (BOB,),
        (BOB,),
    ]
    assert [s.people for s in rotations.shifts(schedule, utc(2026, 1, 1), utc(2026, 1, 4))] == [
        (ALICE,),
        (BOB,),
    ]


def test_the_day_that_apia_skipped_is_nobodys_and_the_rotation_goes_on_from_it():
    layer = make_layer("Pacific/Apia", starts=datetime(2011, 12, 28, 0), period=timedelta(days=1))
    found = rotations.shifts(Schedule(1, (layer,)), utc(2011, 12, 28, 10), utc(2012, 1, 1, 10))
    assert [s.people for s in found] == [(ALICE,), (BOB,), (ALICE,), (BOB,)]
    assert [s.ends - s.starts for s in found] == [timedelta(days=1)] * 4


def test_an_override_counts_from_its_beginning_not_from_the_next_handover():
    plain = Schedule(1, (make_layer(),))
    stands_in = Override(7, CAROL, utc(2026, 1, 6, 3), utc(2026, 1, 6, 4))
    held = Schedule(1, plain.layers, (stands_in,))
    assert rotations.on_call(held, utc(2026, 1, 6, 3)) == (CAROL,)
    assert (
        rotations.on_call(held, utc(2026, 1, 6, 4))
        == rotations.on_call(plain, utc(2026, 1, 6, 3))
        == (ALICE,)
    )
    around = rotations.shifts(held, utc(2026, 1, 6), utc(2026, 1, 7))
    assert [(s.people, s.layer, s.override) for s in around] == [
        ((ALICE,), 1, None), ((CAROL,), None, 7), ((ALICE,), 1, None),
    ]  # fmt: skip


def test_a_weekend_window_over_the_end_of_the_week_pages_the_weekend_and_nothing_else():
    layer = make_layer(turns=((ALICE,),), windows="Fri 18:00 - Mon 08:00")
    found = rotations.shifts(Schedule(1, (layer,)), utc(2026, 1, 12), utc(2026, 1, 19, 12))
    assert [(s.starts, s.people) for s in found] == [
        (utc(2026, 1, 12), (ALICE,)),
        (utc(2026, 1, 12, 7), ()),
        (utc(2026, 1, 16, 17), (ALICE,)),
        (utc(2026, 1, 19, 7), ()),
    ]


def test_a_rotation_does_not_begin_again_with_the_year_or_after_62_days():
    layer = make_layer(turns=((ALICE,), (BOB,)), period=timedelta(days=1))
    found = rotations.shifts(Schedule(1, (layer,)), utc(2026, 1, 5, 8), utc(2028, 1, 5, 8))
    assert len(found) == 730 and all(one.people != other.people for one, other in pairwise(found))


def test_a_weaker_layer_fills_what_a_stronger_one_leaves_and_the_rest_is_a_named_gap():
    office = make_layer(turns=((ALICE,),), windows="Mon-Fri 09:00-17:00", id=1)
    evening = make_layer(turns=((BOB,),), windows="Mon-Fri 12:00-22:00", id=2)
    found = rotations.shifts(Schedule(1, (office, evening)), utc(2026, 1, 13, 8), utc(2026, 1, 14, 8))
    assert found == [
        Shift(utc(2026, 1, 13, 8), utc(2026, 1, 13, 16), (ALICE,), 1, 1),
        Shift(utc(2026, 1, 13, 16), utc(2026, 1, 13, 21), (BOB,), 2, 1),
        Shift(utc(2026, 1, 13, 21), utc(2026, 1, 14, 8)),
    ]
    assert rotations.gaps(found) == found[2:]


def test_next_is_the_first_other_person_and_nobody_when_there_is_only_one():
    schedule = Schedule(1, (make_layer(),))
    assert rotations.next_on_call(schedule, utc(2026, 1, 6)) == (BOB,)
    assert rotations.next_on_call(Schedule(1, (make_layer(turns=((ALICE,),)),)), utc(2026, 1, 6)) == ()
    pair = Schedule(1, (make_layer(turns=((ALICE, BOB), (BOB, CAROL))),))
    assert rotations.next_on_call(pair, utc(2026, 1, 6)) == (CAROL,)
    assert rotations.next_on_call(schedule, utc(2026, 1, 5)) == (ALICE,)  # in the gap before the start


def test_overrides_at_one_time_are_named_for_a_warning():
    one, two = (
        Override(1, ALICE, utc(2026, 1, 1), utc(2026, 1, 3)),
        Override(2, BOB, utc(2026, 1, 2), utc(2026, 1, 4)),
    )
    three = Override(3, CAROL, utc(2026, 1, 4), utc(2026, 1, 5))
    assert rotations.overlaps((three, two, one)) == [(one, two)]


def test_an_empty_range_has_no_shifts_and_no_layers_are_one_gap():
    assert rotations.shifts(Schedule(1, ()), utc(2026, 1, 2), utc(2026, 1, 2)) == []
    assert rotations.shifts(Schedule(1, ()), utc(2026, 1, 2), utc(2026, 1, 3)) == [
        Shift(utc(2026, 1, 2), utc(2026, 1, 3))
    ]


def test_the_current_shift_of_a_gap_is_named_with_its_beginning_and_end():
    layer = make_layer(turns=((ALICE,),), windows="Mon-Fri 09:00-17:00")
    held = rotations.current(Schedule(1, (layer,)), utc(2026, 1, 13, 20))
    assert held == Shift(utc(2026, 1, 13, 16), utc(2026, 1, 14, 8))
