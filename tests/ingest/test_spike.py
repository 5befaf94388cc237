"""Whose payload is kept in a flood: arithmetic over arrivals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ingest import spike
from apps.ingest.spike import Arrival, Flood, Rules, is_chosen, usual_per_minute

KEY = b"k" * 32
RULES = Rules(factor=10, floor=100, group=50, keep_first=5, keep_one_in=10)


def make_arrivals(n, project=1, group="a", minute=1000, start=0):
    return [Arrival(project, group, minute, f"{start + i:032x}") for i in range(n)]


def kept(flood, arrivals, usual=0.0, rules=RULES, counted=True):
    """How many keep their payload."""
    judged = flood.judge(arrivals, rules, lambda project, minute: usual, KEY)
    if counted:
        flood.count(arrivals)
    return sum(judged)


def chosen(arrivals):
    return sum(is_chosen(a.event_id, RULES.keep_one_in, KEY) for a in arrivals)


def test_what_is_usual_is_kept_whole():
    flood = Flood()
    assert kept(flood, make_arrivals(50)) == 50
    assert kept(flood, make_arrivals(50, group="b")) == 50
    assert kept(flood, make_arrivals(50, project=2)) == 50  # each project has its own count
    assert kept(flood, make_arrivals(50, minute=1001)) == 50  # and each minute


def test_of_a_hot_group_one_in_so_many_is_kept_beyond_its_limit():
    arrivals = make_arrivals(1000)
    assert kept(Flood(), arrivals) == 50 + chosen(arrivals[50:])
    assert 50 < chosen(arrivals) < 150


def test_it_makes_no_difference_how_the_flood_is_cut_into_batches():
    arrivals, flood = make_arrivals(1000), Flood()
    in_pieces = sum(kept(flood, arrivals[start : start + 30]) for start in range(0, 1000, 30))
    assert in_pieces == kept(Flood(), arrivals)


def test_beyond_what_is_usual_for_a_project_each_group_keeps_its_first():
    flood = Flood()
    for number in range(10):
        assert kept(flood, make_arrivals(10, group=f"g{number}")) == 10
    late = make_arrivals(20, group="new", start=10**6)
    assert kept(flood, late) == 5 + chosen(late[5:])


def test_the_limit_of_a_project_grows_with_what_is_usual_for_it():
    flood, asked = Flood(), []

    def usual(project, minute):
        asked.append((project, minute))
        return 30.0

    many = [a for n in range(40) for a in make_arrivals(10, group=f"g{n}")]
    assert sum(flood.judge(many[:299], RULES, usual, KEY)) == 299
    assert asked == [(1, 1000)]  # once a batch, and only beyond the floor
    assert flood.judge(many[:99], RULES, usual, KEY) == [True] * 99
    assert asked == [(1, 1000)]


def test_what_was_not_stored_is_not_counted():
    flood = Flood()
    for _ in range(10):
        assert kept(flood, make_arrivals(50), counted=False) == 50


def test_memory_is_bounded_by_minutes_and_groups(monkeypatch):
    monkeypatch.setattr(spike, "MOST_GROUPS", 20)
    flood = Flood()
    for minute in range(50):
        for number in range(40):
            flood.count(make_arrivals(1, group=f"g{number}", minute=minute))
    assert sorted(flood._minutes) == [47, 48, 49]
    assert all(len(m.groups) == 20 and m.projects[1] == 40 for m in flood._minutes.values())


def test_a_flood_of_new_groups_does_not_keep_them_all(monkeypatch):
    monkeypatch.setattr(spike, "MOST_GROUPS", 150)
    arrivals = [Arrival(1, f"g{n}", 1000, f"{n:032x}") for n in range(1000)]
    flood = Flood()
    first = kept(flood, arrivals[:500])
    assert first == 150 + chosen(arrivals[150:500])
    assert kept(flood, arrivals[500:]) == chosen(arrivals[500:])


def test_an_entry_from_long_ago_that_is_tried_again_pushes_nothing_out():
    flood = Flood()
    for minute in (1000, 1001, 1002):
        kept(flood, make_arrivals(60, minute=minute))
    assert kept(flood, make_arrivals(10, minute=5)) == 10
    assert sorted(flood._minutes) == [1000, 1001, 1002]


@given(st.text(max_size=40), st.integers(1, 100))
def test_the_choice_is_the_same_each_time_and_needs_the_key(event_id, one_in):
    assert is_chosen(event_id, one_in, KEY) == is_chosen(event_id, one_in, KEY)
    assert is_chosen(event_id, 1, KEY)


def test_another_key_chooses_others():
    ids = [f"{n:032x}" for n in range(1000)]
    assert [i for i in ids if is_chosen(i, 10, KEY)] != [i for i in ids if is_chosen(i, 10, b"x" * 32)]


@pytest.mark.parametrize(
    ("hours", "usual"),
    [([], 0), ([0] * 7, 0), ([60] * 7, 1), ([0, 0, 0, 600, 600, 600, 60_000], 10), ([60, 120], 1.5)],
)
def test_what_is_usual_is_the_median_of_the_same_hour(hours, usual):
    assert usual_per_minute(hours) == usual
