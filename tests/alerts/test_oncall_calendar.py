"""iCalendar in and out: what is read, what is refused by name, and that nothing odd gets past."""

import string
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.oncall import calendar as oncall_calendar
from apps.alerts.oncall.calendar import CalendarRefused, Entry, Read
from tests.alerts.make_oncall import event, ical
from tests.fuzz import thorough

BERLIN = ZoneInfo("Europe/Berlin")


def utc(*when):
    return datetime(*when, tzinfo=UTC)


def read(*events):
    return oncall_calendar.read(ical(*events), zone=BERLIN)


def times(*events):
    return [(one.starts, one.ends) for one in read(*events).stand_ins]


def test_an_event_is_a_time_to_stand_in_by_the_name_in_its_summary_or_its_attendee():
    (one,) = read(event(who="Bob", more="ATTENDEE;CN=Bob:mailto:bob@example.org")).stand_ins
    assert (one.uid, one.who) == ("1", ("bob@example.org", "Bob"))
    assert (one.starts, one.ends) == (utc(2026, 12, 1, 9), utc(2026, 12, 2, 9))


@pytest.mark.parametrize(
    ("lines", "starts", "ends"),
    [
        ("DTSTART:20260701T090000\nDTEND:20260701T100000", utc(2026, 7, 1, 7), utc(2026, 7, 1, 8)),
        (
            "DTSTART;TZID=Asia/Kolkata:20260701T090000\nDURATION:PT1H",
            utc(2026, 7, 1, 3, 30),
            utc(2026, 7, 1, 4, 30),
        ),
        (
            "DTSTART;TZID=W. Europe Standard Time:20260701T090000\nDURATION:PT1H",
            utc(2026, 7, 1, 7),
            utc(2026, 7, 1, 8),
        ),
        ("DTSTART;VALUE=DATE:20260329", utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
        ("DTSTART;VALUE=DATE:20260701\nDTEND;VALUE=DATE:20260703", utc(2026, 6, 30, 22), utc(2026, 7, 2, 22)),
    ],
)
def test_times_without_a_zone_are_those_of_the_schedule(lines, starts, ends):
    assert times(f"UID:1\nSUMMARY:Bob\n{lines}") == [(starts, ends)]


def test_a_weekly_event_keeps_its_hours_on_the_wall_when_the_clock_is_changed():
    lines = "UID:1\nSUMMARY:Bob\nDTSTART;TZID=Europe/Berlin:20260322T180000\nDTEND;TZID=Europe/Berlin:20260323T080000"
    assert times(f"{lines}\nRRULE:FREQ=WEEKLY;COUNT=3") == [
        (utc(2026, 3, 22, 17), utc(2026, 3, 23, 7)),
        (utc(2026, 3, 29, 16), utc(2026, 3, 30, 6)),
        (utc(2026, 4, 5, 16), utc(2026, 4, 6, 6)),
    ]


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=DAILY;COUNT=3", [1, 2, 3]),
        ("FREQ=DAILY;INTERVAL=2;UNTIL=20261205T090000Z", [1, 3, 5]),
        ("FREQ=WEEKLY;BYDAY=TU,TH;COUNT=4", [1, 3, 8, 10]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,FR;UNTIL=20261220", [1, 4, 15, 18]),
        ("FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20261214T235959Z;WKST=MO", [1, 7, 8, 14]),
        ("FREQ=DAILY;COUNT=4\nEXDATE:20261202T090000Z,20261203T090000Z", [1, 4]),
    ],
)
def test_bounded_recurrence_is_expanded_as_the_standard_says(rule, days):
    assert [start.day for start, _ in times(event(more=f"RRULE:{rule}"))] == days


def test_a_moved_occurrence_stands_in_place_of_the_one_it_replaces():
    moved = event(
        starts=datetime(2026, 12, 2, 12),
        ends=datetime(2026, 12, 2, 13),
        more="RECURRENCE-ID:20261202T090000Z",
    )
    found = times(event(more="RRULE:FREQ=DAILY;COUNT=3"), moved)
    assert sorted(start for start, _ in found) == [
        utc(2026, 12, 1, 9),
        utc(2026, 12, 2, 12),
        utc(2026, 12, 3, 9),
    ]


def test_a_cancelled_event_is_known_and_stands_for_nobody():
    assert read(event(more="STATUS:CANCELLED")) == Read(frozenset({"1"}), ())


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "no events"),
        ([event(uid="")], "UID is missing"),
        ([event(who="")], "names nobody"),
        (["UID:1\nSUMMARY:Bob"], "DTSTART is missing"),
        (["UID:1\nSUMMARY:Bob\nDTSTART:20261201T090000Z"], "has no length"),
        (["UID:1\nSUMMARY:Bob\nDTSTART:yesterday\nDURATION:PT1H"], "DTSTART cannot be read"),
        (["UID:1\nSUMMARY:Bob\nDTSTART:20261201T090000Z\nDTSTART:20261202T090000Z"], "DTSTART stands twice"),
        (
            ["UID:1\nSUMMARY:Bob\nDTSTART;TZID=Mars/Base:20261201T090000\nDURATION:PT1H"],
            "'Mars/Base' is unknown",
        ),
        ([event(ends=datetime(2026, 11, 30))], "a negative one"),
        ([event(ends=datetime(2028, 1, 1))], "more than a year"),
        ([event(starts=datetime(1950, 1, 1))], "outside the years"),
        ([event(more="RRULE:FREQ=DAILY")], "recurs without end"),
        ([event(more="RRULE:FREQ=SECONDLY;COUNT=5")], "FREQ=SECONDLY in RRULE is not read"),
        ([event(more="RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1")], "BYMONTH, BYMONTHDAY in RRULE"),
        ([event(more="RRULE:FREQ=DAILY;COUNT=100000")], "more than 1000 times"),
        ([event(more="RRULE:FREQ=DAILY;UNTIL=29990101T000000Z")], "more than 1000 times"),
        ([event(more="RRULE:FREQ=WEEKLY;BYDAY=2MO;COUNT=3")], "BYDAY=2MO is not read"),
        ([event(more="RRULE:FREQ=DAILY;INTERVAL=0;COUNT=3")], "out of range"),
        ([event(more="RRULE:FREQ=FOO;COUNT=3")], "RRULE cannot be read"),
        ([event(more="RDATE:20261224T090000Z")], "RDATE is not read"),
        ([event(), event()], "begins twice"),
        ([event(str(n), more="RRULE:FREQ=DAILY;COUNT=600") for n in range(2)], "More than 1000 times"),
        ([event(str(n)) for n in range(501)], "More than 500 events"),
    ],
)
def test_what_is_not_clear_is_refused_by_name(events, said):
    with pytest.raises(CalendarRefused, match=said):
        read(*events)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\xff\xfe\x00", b"BEGIN:VEVENT\r\nEND:VEVENT\r\n", b"BEGIN:VCALENDAR"]
)
def test_what_is_no_calendar_is_said_to_be_none(data):
    with pytest.raises(CalendarRefused, match="no iCalendar file"):
        oncall_calendar.read(data, zone=BERLIN)


def test_a_file_that_is_too_large_is_not_parsed():
    with pytest.raises(CalendarRefused, match="larger than 256 KiB"):
        oncall_calendar.read(b"x" * (256 * 1024 + 1), zone=BERLIN)


_GOOD = ical(
    event(more="RRULE:FREQ=WEEKLY;BYDAY=MO,TU;COUNT=4\nEXDATE:20261207T090000Z"), event("2")
).decode()
_WORDS = [
    *string.printable,
    "\0",
    "é",
    ":",
    ";",
    "=",
    "\r\n",
    "BEGIN:VEVENT",
    "TZID=",
    "VALUE=DATE",
    "9" * 20,
    "P9999W",
]


@given(
    st.lists(st.tuples(st.integers(0, len(_GOOD)), st.integers(0, 12), st.sampled_from(_WORDS)), max_size=6)
)
@thorough
def test_a_damaged_calendar_is_read_or_refused_and_nothing_else(cuts):
    text = _GOOD
    for at, length, word in cuts:
        text = text[:at] + word + text[at + length :]
    try:
        found = oncall_calendar.read(text.encode(), zone=BERLIN)
    except CalendarRefused:
        return
    assert all(one.starts < one.ends and one.uid in found.uids and one.who for one in found.stand_ins)


def test_what_is_written_is_a_calendar_that_others_can_read():
    entry = Entry(
        "shift-1@example.org", utc(2026, 12, 1, 9), utc(2026, 12, 8, 9), "Alice\r\nBEGIN:VEVENT; on, call", "a\\b", "https://example.org/x"
    )  # fmt: skip
    data = oncall_calendar.write([entry], name="Payments", now=utc(2026, 11, 22))
    calendar = icalendar.Calendar.from_ical(data)
    (found,) = calendar.walk("VEVENT")
    assert (str(found["UID"]), found.start, found.end) == (entry.uid, entry.starts, entry.ends)
    assert "BEGIN:VEVENT; on, call" in str(found["SUMMARY"]) and data.count(b"\r\nBEGIN:VEVENT") == 1
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    assert str(calendar["X-WR-CALNAME"]) == "Payments" and calendar["REFRESH-INTERVAL"].dt == timedelta(
        hours=1
    )
