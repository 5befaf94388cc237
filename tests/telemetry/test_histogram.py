"""Log buckets: within 2 % of the exact percentile, whatever the durations, and however they were put together."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry import histogram

durations = st.floats(min_value=histogram.SHORTEST_MS * 1.001, max_value=histogram.LONGEST_MS)
lists = st.lists(durations, min_size=1, max_size=200)
shares = st.floats(min_value=0, max_value=1)
histograms = st.dictionaries(
    st.integers(histogram.LOWEST, histogram.HIGHEST), st.integers(1, 10**9), max_size=30
)


def exact(values, q):
    return sorted(values)[math.floor(q * (len(values) - 1))]


@given(lists, shares)
def test_every_percentile_is_within_two_percent_of_the_exact_one(values, q):
    wanted = exact(values, q)
    found = histogram.percentile(histogram.counted(values), q)
    assert abs(found - wanted) <= wanted * histogram.RELATIVE_ERROR * (1 + 1e-9)


def test_two_hundred_thousand_lognormal_durations_keep_the_promise_at_the_usual_percentiles():
    dice = random.Random(11)
    values = [dice.lognormvariate(4, 1.2) for _ in range(200_000)]
    qs = (0.5, 0.9, 0.95, 0.99, 0.999)
    found = histogram.percentiles(histogram.counted(values), qs)
    for q, value in zip(qs, found, strict=True):
        assert value == pytest.approx(exact(values, q), rel=histogram.RELATIVE_ERROR)


@given(lists, st.integers(1, 9))
def test_merged_by_parts_is_the_same_as_counted_at_once(values, parts):
    pieces = [histogram.counted(values[start::parts]) for start in range(parts)]
    assert histogram.merged(pieces) == histogram.counted(values)


@given(histograms, histograms, histograms)
def test_merging_is_associative_and_commutative(a, b, c):
    left = histogram.merged([histogram.merged([a, b]), c])
    right = histogram.merged([a, histogram.merged([b, c])])
    assert left == right == histogram.merged([c, b, a])


@given(histograms)
def test_a_histogram_goes_into_json_and_comes_back(buckets):
    assert histogram.from_json(histogram.as_json(buckets)) == buckets


@given(lists, durations)
def test_the_share_within_a_limit_is_wrong_at_most_by_what_lies_in_the_limits_own_bucket(values, limit):
    found = histogram.share_within(histogram.counted(values), limit) * len(values)
    low = sum(v <= limit for v in values)
    same = sum(histogram.bucket_of(v) == histogram.bucket_of(limit) for v in values)
    assert low - 1e-6 <= found <= low + same + 1e-6


def test_nothing_has_no_percentile_and_no_share():
    assert histogram.percentile({}, 0.5) is None
    assert histogram.percentiles({}, (0.5, 0.99)) == [None, None]
    assert histogram.share_within({}, 100) is None


@pytest.mark.parametrize(("ms", "answer"), [(0, 0.0), (0.0005, 0.0), (0.001, 0.0)])
def test_what_is_a_microsecond_or_less_answers_zero(ms, answer):
    assert histogram.percentile(histogram.counted([ms]), 0.5) == answer


def test_what_takes_longer_than_a_day_counts_as_a_day():
    assert histogram.bucket_of(10**12) == histogram.bucket_of(histogram.LONGEST_MS) == histogram.HIGHEST


def test_the_number_of_buckets_is_bounded():
    assert histogram.HIGHEST - histogram.LOWEST < 650


def test_the_formula_is_the_documented_one():
    """g = 1.02 ÷ 0.98, and the bucket of v ends at the first power of g that is not less than v."""
    bucket = histogram.bucket_of(100)
    assert histogram.GAMMA ** (bucket - 1) < 100 <= histogram.GAMMA**bucket
    assert bucket == math.ceil(math.log(100) / math.log(1.02 / 0.98)) == 116
