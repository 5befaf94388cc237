"""Windows once, weekly and monthly, over changes of the clock, against a clock that is read minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts.suppression import occurrences
from apps.alerts.suppression.occurrences import MONTHLY, WEEKLY, Span, Window

BERLIN = "Europe/Berlin"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def weekly(text, zone=BERLIN, start=None, end=None):
    return Window(start or utc(2026, 1, 1), end, WEEKLY, zone, weekly=occurrences.parse_weekly(text))


def monthly(text, zone=BERLIN, start=None, end=None):
    return Window(start or utc(2026, 1, 1), end, MONTHLY, zone, monthly=occurrences.parse_monthly(text))


def test_a_weekly_window_stays_at_its_hour_on_the_wall_when_the_clock_changes():
    found = occurrences.coming(weekly("Sun 04:00-06:00"), utc(2026, 3, 20), 2)
    assert found == [
        Span(utc(2026, 3, 22, 3), utc(2026, 3, 22, 5)),
        Span(utc(2026, 3, 29, 2), utc(2026, 3, 29, 4)),
    ]


def test_the_hour_that_is_skipped_in_spring_is_no_window():
    assert occurrences.coming(weekly("Sun 02:15-02:45"), utc(2026, 3, 23), 1) == [
        Span(utc(2026, 4, 5, 0, 15), utc(2026, 4, 5, 0, 45))
    ]


def test_a_window_over_the_hour_that_comes_twice_lasts_an_hour_longer():
    assert occurrences.coming(weekly("Sun 02:00-04:00"), utc(2026, 10, 20), 1) == [
        Span(utc(2026, 10, 25, 0), utc(2026, 10, 25, 3))
    ]


def test_a_weekend_passes_the_end_of_the_week():
    window = weekly("Fri 22:00 - Mon 06:00", "UTC")
    whole = Span(utc(2026, 11, 20, 22), utc(2026, 11, 23, 6))
    assert occurrences.now_in(window, utc(2026, 11, 22, 23, 59)) == whole
    assert occurrences.now_in(window, utc(2026, 11, 23, 5, 59)) is not None
    assert occurrences.now_in(window, utc(2026, 11, 23, 6)) is None


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("1st Sun 02:00-04:00", utc(2026, 12, 6, 1), utc(2027, 1, 3, 1)),
        ("last Fri 22:00-02:00", utc(2026, 11, 27, 21), utc(2026, 12, 25, 21)),
        ("31 00:00-24:00", utc(2026, 12, 30, 23), utc(2027, 1, 30, 23)),
    ],
)
def test_monthly_windows_are_found_by_weekday_or_by_day(text, first, second):
    found = occurrences.coming(monthly(text), utc(2026, 11, 22), 2)
    assert [span.start for span in found] == [first, second]


def test_a_recurring_window_begins_and_ends_with_its_own_bounds():
    window = weekly("Sun 02:00-04:00", "UTC", start=utc(2026, 11, 22, 3), end=utc(2026, 11, 29, 3))
    assert occurrences.coming(window, utc(2026, 1, 1), 9) == [
        Span(utc(2026, 11, 22, 3), utc(2026, 11, 22, 4)),
        Span(utc(2026, 11, 29, 2), utc(2026, 11, 29, 3)),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "5th Sun 02:00-03:00", "32 02:00-03:00", "1st Sun 02:00-02:00", "0 01:00-02:00", "1 25:00-26:00"],
)
def test_a_monthly_window_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"window|days|time|length"):
        occurrences.parse_monthly(text)


def test_a_weekly_window_that_is_empty_or_fills_the_week_is_refused():
    for text in ("", "Mon 00:00-24:00; Tue-Sun 00:00-24:00"):
        with pytest.raises(ValueError, match="does not repeat"):
            occurrences.parse_weekly(text)


# --- Against a clock on the wall ----------------------------------------------------------------------------
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Apia"]
AROUND = [
    utc(2026, 3, 29),
    utc(2026, 10, 25),
    utc(2026, 3, 8),
    utc(2026, 11, 1),
    utc(2026, 4, 4, 15),
    utc(2026, 1, 1),
]


def shown(zone, at):
    """The highest wall time that the clock has shown in the day before: a clock that is set back shows no new time."""
    steps = (at - timedelta(minutes=m) for m in range(181))
    return max(step.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for step in steps)


def weekly_by_clock(day, start, length, zone, at):
    """In force when the clock has passed the begin and not yet the end."""
    wall = shown(zone, at)
    monday = datetime(wall.year, wall.month, wall.day) - timedelta(days=wall.weekday())
    for week in (-7, 0):
        begin = monday + timedelta(days=week + day, minutes=start)
        if begin <= wall < begin + timedelta(minutes=length):
            return True
    return False


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(ZONES), st.sampled_from(AROUND), st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440),
    st.lists(st.integers(-2880, 2880), min_size=1, max_size=12),
)  # fmt: skip
def test_a_weekly_window_is_in_force_whenever_a_clock_on_the_wall_says_so(
    zone, around, day, start, length, offsets
):
    begins = f"{start // 60:02}:{start % 60:02}"
    end = (start + length) % 1440
    text = f"{occurrences.windows.DAYS[day]} {begins}-{end // 60:02}:{end % 60:02}"
    if length == 1440:
        if start:
            return
        text = f"{occurrences.windows.DAYS[day]} 00:00-24:00"
    window = weekly(text, zone, start=utc(2025, 1, 1))
    for offset in offsets:
        at = around + timedelta(minutes=offset)
        assert (occurrences.now_in(window, at) is not None) is weekly_by_clock(
            day, start, length, zone, at
        ), at
