"""Weekly windows as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts.oncall.windows import DAY_MIN, WEEK_MIN, Window, parse, write

H = 60


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", ()),
        ("Mon 09:00-17:00", (Window(9 * H, 17 * H),)),
        ("mon-tue 9:00-17:00", (Window(9 * H, 17 * H), Window(DAY_MIN + 9 * H, DAY_MIN + 17 * H))),
        ("Mon 22:00-06:00", (Window(22 * H, 30 * H),)),
        ("Sun 22:00-06:00", (Window(0, 6 * H), Window(6 * DAY_MIN + 22 * H, WEEK_MIN))),
        ("Sat,Sun 00:00-24:00", (Window(5 * DAY_MIN, WEEK_MIN),)),
        ("Fri 18:00 - Mon 08:00", (Window(0, 8 * H), Window(4 * DAY_MIN + 18 * H, WEEK_MIN))),
        ("Mon 08:00 - Fri 18:00", (Window(8 * H, 4 * DAY_MIN + 18 * H),)),
        ("Sun-Mon 10:00-11:00", (Window(10 * H, 11 * H), Window(6 * DAY_MIN + 10 * H, 6 * DAY_MIN + 11 * H))),
        ("Mon 09:00-12:00; Mon 11:00-13:00\nMon 13:00-14:00", (Window(9 * H, 14 * H),)),
        ("Tue 12:00 - Tue 11:00", (Window(0, DAY_MIN + 11 * H), Window(DAY_MIN + 12 * H, WEEK_MIN))),
    ],
)
def test_windows_are_read_as_written(text, windows):
    assert parse(text) == windows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mon 09:00-09:00", "no length. For whole days"),
        ("Fri 18:00 - Fri 18:00", "no length. For the whole week"),
        ("Mon 09:00-25:00", "25:00 in"),
        ("Mon 09:60-10:00", "09:60 in"),
        ("Mon 24:00-06:00", "cannot begin at 24:00"),
        ("Mo 09:00-17:00", "is no window. Write Mon-Fri"),
        ("Mon-Tue-Wed 09:00-17:00", "no range of days"),
        ("always", "is no window"),
        (";".join(["Mon 09:00-10:00"] * 41), "At most 40"),
    ],
)
def test_what_cannot_be_read_is_named(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, WEEK_MIN - 1), st.integers(1, WEEK_MIN - 1)), max_size=6))
def test_written_windows_are_read_as_the_same(pairs):
    text = write(tuple(Window(start, start + length) for start, length in pairs))
    assert parse(write(parse(text))) == parse(text)
    assert all(0 <= w.start < w.end <= WEEK_MIN for w in parse(text))
