"""Times between stamps, their order, their summary. Unset is unset, never zero."""

from datetime import date, timedelta
from itertools import permutations
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.incidents import durations
from apps.incidents.postmortems import business_days_after
from tests.incidents.make import at


def incident(*seconds):
    stamps = [None if s is None else at(s) for s in seconds]
    return SimpleNamespace(**dict(zip(durations.STAMPS, stamps, strict=True)))


def minutes(n):
    return None if n is None else timedelta(minutes=n)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ((0, 60, 180, 600, 1200), (1, 2, 10, 20)),
        ((0, None, 180, 600, None), (None, None, 10, None)),
        ((0, 60, None, None, 1200), (1, None, None, 20)),
        ((0, None, None, None, None), (None, None, None, None)),
        ((0, 0, 0, 0, 0), (0, 0, 0, 0)),
    ],
)
def test_times_of_one_incident(stamps, expected):
    found = durations.of(incident(*stamps))
    assert [took for _, took in found.labelled()] == [minutes(n) for n in expected]


@pytest.mark.parametrize(
    ("known", "median", "p90", "n"),
    [
        ([], None, None, 0),
        ([None, None], None, None, 0),
        ([0], 0, 0, 1),
        ([4, None], 4, 4, 1),
        ([1, 2], 1.5, 1.9, 2),
        ([3, 1, 2], 2, 2.8, 3),
        (range(1, 12), 6, 10, 11),
        ([1, 1, 1, 1000], 1, 700.3, 4),
    ],
)
def test_median_and_ninetieth_percentile_interpolate(known, median, p90, n):
    found = durations.summarise(None if s is None else timedelta(seconds=s) for s in known)
    assert found.n == n
    assert (found.median_s, found.p90_s) == (
        (None, None) if median is None else (pytest.approx(median), pytest.approx(p90))
    )


@given(st.lists(st.floats(0, 1e7), min_size=1))
def test_a_quantile_lies_among_the_values_and_grows_with_its_share(seconds):
    median, p90 = durations.quantile_s(seconds, 0.5), durations.quantile_s(seconds, 0.9)
    slack = 1e-6 * max(seconds)
    assert min(seconds) - slack <= median <= p90 + slack <= max(seconds) + 2 * slack
    assert durations.quantile_s(seconds, 0) == min(seconds) and durations.quantile_s(seconds, 1) == max(
        seconds
    )


def test_only_acknowledged_and_mitigated_come_in_either_order():
    right = []
    for order in permutations(durations.STAMPS):
        stamps = {name: at(seconds) for seconds, name in enumerate(order)}
        if durations.disorder(stamps) is None:
            right.append(order)
    began, detected, acknowledged, mitigated, resolved = durations.STAMPS
    assert right == [durations.STAMPS, (began, detected, mitigated, acknowledged, resolved)]


def test_unset_stamps_are_passed_over_but_not_what_lies_around_them():
    stamps = dict(vars(incident(10, None, None, None, 5)))
    assert durations.disorder(stamps) == ("began_at", "resolved_at")
    assert durations.disorder(dict.fromkeys(durations.STAMPS)) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "not known"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (3783, "1 h 3 min"), (90_061, "1 d 1 h")],
)
def test_durations_in_words(seconds, words):
    assert durations.in_words(None if seconds is None else timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        (date(2026, 11, 20), 0, date(2026, 11, 20)),
        (date(2026, 11, 20), 1, date(2026, 11, 23)),  # Friday → Monday
        (date(2026, 11, 21), 1, date(2026, 11, 23)),  # Saturday → Monday
        (date(2026, 11, 20), 5, date(2026, 11, 27)),
        (date(2026, 11, 18), 10, date(2026, 12, 2)),
    ],
)
def test_business_days_pass_over_weekends(start, days, due):
    assert business_days_after(start, days) == due
