"""The arithmetic and the forms of the benchmarks' tables."""

import pytest

from benchmarks.lab.figures import Table, parse_size, per_event, percentile, ratio, rounded, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.95, 95), (0.951, 96), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_the_nearest_rank_in_whatever_order_the_values_came(share, expected):
    assert percentile([*range(51, 101), *range(1, 51)], share) == expected


def test_a_percentile_of_one_value_is_that_value_and_of_none_an_error():
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.4, "1,234"), (100, "100"), (56.72, "56.7"), (0.456, "0.46")]
)
def test_numbers_show_three_digits_that_mean_something(value, shown):
    assert rounded(value) == shown


def test_a_spread_shows_the_median_between_the_least_and_the_most():
    assert spread([30.0, 10.0, 20.0]) == "20.0 (10.0–30.0)"
    assert spread([10.0, 20.0]) == "15.0 (10.0–20.0)"
    assert spread([10.0]) == "10.0"


def test_a_ratio_compares_medians_and_says_nothing_of_a_peer_that_stored_nothing():
    assert ratio([900.0, 1000.0, 5000.0], [40.0, 50.0, 10.0]) == "25.0 ×"
    assert ratio([1000.0], [0.0]) == "–"


def test_cpu_seconds_become_milliseconds_an_event():
    assert per_event({"web": 1.5, "work": 0.0}, 3000) == {"web": 0.5, "work": 0.0}
    assert per_event({"web": 1.5}, 0) == {"web": 1500.0}


@pytest.mark.parametrize(
    ("text", "number"), [("5000", 5000), ("1e4", 10_000), ("10^7", 10_000_000), (" 1 ", 1)]
)
def test_sizes_are_read_as_people_write_them(text, number):
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "many", "0", "-5", "1.5", "1e-2"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        parse_size(text)


def make_table():
    table = Table(("", "events", "rate"), "Title", notes=["a note"])
    table.add("ours", 5000, 1234.5)
    table.add("theirs", None, "44 (40–45)")
    return table


def test_a_table_for_the_terminal_stands_in_columns():
    assert make_table().text().splitlines() == [
        "Title",
        "        events        rate",
        "──────  ──────  ──────────",
        "ours     5,000       1,234",
        "theirs       –  44 (40–45)",
        "a note",
    ]


def test_a_table_for_the_docs_is_markdown_with_its_notes_below():
    assert make_table().markdown().splitlines() == [
        "**Title**",
        "",
        "|  | events | rate |",
        "| --- | ---: | ---: |",
        "| ours | 5,000 | 1,234 |",
        "| theirs | – | 44 (40–45) |",
        "",
        "a note",
    ]


def test_a_row_that_does_not_fit_its_columns_is_an_error():
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        make_table().add("ours", 1)
