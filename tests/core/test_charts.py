"""Columns: a round top, heights that add up, no more colours than can be told apart."""

import re

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from apps.core import charts, wording
from apps.core.charts import Series

amounts = st.none() | st.integers(0, 10**12) | st.floats(0, 1e12)


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (1, 1), (1.1, 1.5), (3, 3), (5, 5), (5.1, 6), (99, 100), (101, 150), (0.032, 0.04), (2e9, 2e9)],
)
def test_the_top_is_the_next_round_number(highest, top):
    assert charts.round_top(highest) == pytest.approx(top)


@given(st.floats(1e-6, 1e15))
def test_no_column_is_higher_than_the_top_and_the_highest_fills_two_thirds_of_it(highest):
    assert highest <= charts.round_top(highest) * (1 + 1e-9) <= highest * 1.51


@given(st.lists(st.lists(amounts, min_size=3, max_size=3), min_size=1, max_size=9))
def test_folding_keeps_the_sum_of_each_column_and_shows_at_most_seven_series(columns):
    series = [Series(f"s{n}", values) for n, values in enumerate(columns)]
    folded = charts.fold(series)
    assert len(folded) <= charts.MOST_SERIES + 1
    for place in range(3):
        whole = sum(s.values[place] or 0 for s in series)
        assert sum(s.values[place] or 0 for s in folded) == pytest.approx(whole)


def test_a_moment_without_data_stays_without_data_in_the_sum_of_the_rest():
    folded = charts.fold([Series(f"s{n}", [9 - n, None]) for n in range(8)])
    assert folded[-1] == Series(charts.OTHER, [5, None])


@given(st.lists(st.lists(amounts, min_size=4, max_size=4), min_size=1, max_size=6))
def test_blocks_lie_within_the_chart_and_none_is_drawn_for_nothing(columns):
    series = [Series(f"s{n}", values) for n, values in enumerate(columns)]
    found = charts.blocks(series, charts.round_top(charts.highest(series)))
    assert len(found) <= sum(1 for values in columns for v in values if v)
    for block in found:
        assert block.height > 0
        assert -1 <= block.y <= 100
        assert block.y + block.height <= 100.1


def test_series_stand_upon_each_other_from_the_bottom():
    low, high = charts.blocks([Series("a", [30]), Series("b", [50])], 100)
    assert (low.y, low.height, low.place) == (70, 30, 0)
    assert (high.y, high.height, high.place) == (20, 50, 1)


def draw(series, labels, sentence="Bytes a day.", unit="figure") -> str:
    source = "{% load charts %}{% columns series labels sentence unit %}"
    given = {"series": series, "labels": labels, "sentence": sentence, "unit": unit}
    return Template(source).render(Context(given))


def test_a_chart_says_what_it_shows_and_names_its_series_as_text():
    drawn = draw([Series("<script>", [1, 2]), Series("b", [3, 0])], ["1 May", "2 May"], 'A "sentence".')
    assert 'aria-label="A &quot;sentence&quot;."' in drawn
    assert "&lt;script&gt;" in drawn
    assert "<script>" not in drawn
    assert len(re.findall(r"<rect class=\"chart__s[12]\" x", drawn)) == 3
    assert "style=" not in drawn


def test_a_chart_of_nothing_is_drawn_with_its_axis():
    drawn = draw([Series("a", [None, 0, None])], ["1", "2", "3"])
    assert "<li>1</li>" in drawn
    assert "chart__s" not in drawn


def test_labels_beneath_are_the_first_the_middle_and_the_last():
    drawn = draw([Series("a", [1] * 5)], ["v", "w", "x", "y", "z"], unit="size")
    assert [word for word in "vwxyz" if f"<li>{word}</li>" in drawn] == ["v", "x", "z"]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_500, "9.5 kB"), (99_600, "100 kB"), (999_600, "1.0 MB"),
        (1_234_000_000, "1.2 GB"), (5e12, "5.0 TB"), (5e15, "5,000.0 TB"), (None, "–"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_bytes_in_words(size, words):
    assert wording.size_words(size) == words


def test_the_rest_is_grey_and_a_series_that_is_called_like_it_is_not():
    assert "chart__s0" in draw([Series(f"s{n}", [9 - n]) for n in range(8)], ["1 May"])
    assert "chart__s0" not in draw([Series(charts.OTHER, [5]), Series("b", [4])], ["1 May"])


def test_series_with_colours_of_their_own_keep_their_order():
    drawn = draw([Series("Critical", [1], "sev1"), Series("Minor", [9], "sev3")], ["1 May"])
    assert drawn.index("chart__sev1") < drawn.index("chart__sev3")
