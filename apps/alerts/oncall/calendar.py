"""iCalendar: shifts out, overrides in. Nothing here touches the database.

What comes in is somebody else's file. It is read with the icalendar library; recurrence is expanded here, in the
few forms that rotas use, each bounded: a rule that recurs without end, in seconds, or by positions is refused by
name, never half-understood.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apps.alerts.oncall.localtime import instant_of, wall_of

if TYPE_CHECKING:
    import icalendar  # else where it is used: most processes never see a calendar

MOST_BYTES = 256 * 1024
MOST_EVENTS = 500
MOST_TIMES = 1000
MOST_ATTENDEES = 5
LONGEST = timedelta(days=366)
_FREQUENCIES = {"DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1)}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_KNOWN_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"}


class CalendarRefused(ValueError):
    """The file cannot be taken; the message names the event and the property."""


# --- Out ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Entry:
    """One shift as an event. `uid` is the same whenever the calendar is read."""

    uid: str
    starts: datetime
    ends: datetime
    summary: str
    description: str = ""
    url: str = ""


def write(entries: Iterable[Entry], *, name: str, now: datetime) -> bytes:
    """A calendar for subscription. Times are UTC; being on call does not make anybody busy."""
    import icalendar

    calendar = icalendar.Calendar()
    facts = {
        "prodid": "-//Reliability Portal//On-call//EN", "version": "2.0", "method": "PUBLISH",
        "x-wr-calname": name, "refresh-interval": timedelta(hours=1), "x-published-ttl": "PT1H",
    }  # fmt: skip
    for key, value in facts.items():
        calendar.add(key, value)
    for entry in entries:
        calendar.add_component(_event(entry, now))
    return bytes(calendar.to_ical())


def _event(entry: Entry, now: datetime) -> "icalendar.Event":
    import icalendar

    event = icalendar.Event()
    facts = {
        "uid": entry.uid, "dtstamp": now.astimezone(UTC).replace(microsecond=0),
        "dtstart": entry.starts.astimezone(UTC), "dtend": entry.ends.astimezone(UTC), "summary": entry.summary,
        "transp": "TRANSPARENT", "description": entry.description, "url": entry.url,
    }  # fmt: skip
    for key, value in facts.items():
        if value:
            event.add(key, value)
    return event


# --- In -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class StandIn:
    """One occurrence of an event: who, in the words of the file (addresses first, then the summary), and when."""

    uid: str
    who: tuple[str, ...]
    starts: datetime
    ends: datetime
    reason: str = ""


@dataclass(frozen=True)
class Read:
    """What a file says: the ids of all its events, cancelled ones included, and the times to stand in."""

    uids: frozenset[str]
    stand_ins: tuple[StandIn, ...]


def read(data: bytes, *, zone: ZoneInfo) -> Read:
    """Overrides out of a calendar. Times without a zone are in `zone`. CalendarRefused when any part is not clear."""
    if len(data) > MOST_BYTES:
        raise CalendarRefused(f"The file is larger than {MOST_BYTES // 1024} KiB.")
    events = _events(data)
    moved = {_key(event, zone) for event in events if "RECURRENCE-ID" in event}
    found: list[StandIn] = []
    for event in events:
        found += _stand_ins(event, zone, moved)
        if len(found) > MOST_TIMES:
            raise CalendarRefused(f"More than {MOST_TIMES} times to stand in. Import a shorter range.")
    _refuse_doubles(found)
    return Read(frozenset(_uid(event) for event in events), tuple(found))


def _refuse_doubles(found: list[StandIn]) -> None:
    seen = set()
    for one in found:
        if (one.uid, one.starts) in seen:
            raise CalendarRefused(
                f"The event with UID {one.uid[:60]!r} begins twice at {one.starts:%Y-%m-%d %H:%M} UTC."
            )
        seen.add((one.uid, one.starts))


def _events(data: bytes) -> list[Any]:
    import icalendar

    try:
        calendar = icalendar.Calendar.from_ical(data)
        events = calendar.walk("VEVENT")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as broken:
        raise CalendarRefused(f"This is no iCalendar file: {str(broken)[:150]}") from broken
    if calendar.name != "VCALENDAR":
        raise CalendarRefused("This is no iCalendar file: it does not begin with BEGIN:VCALENDAR.")
    if not events:
        raise CalendarRefused("The calendar has no events.")
    if len(events) > MOST_EVENTS:
        raise CalendarRefused(f"More than {MOST_EVENTS} events.")
    for event in events:
        for name, said in event.errors:
            raise CalendarRefused(f"{_name(event)}: {name} cannot be read: {str(said)[:120]}")
    return list(events)


def _name(event: Any) -> str:
    return f"Event {str(event.get('SUMMARY') or event.get('UID') or 'without a name')[:60]!r}"


def _uid(event: Any) -> str:
    uid = str(_one(event, "UID") or "")
    if not uid or len(uid) > 250:
        raise CalendarRefused(f"{_name(event)}: UID is missing or longer than 250 characters.")
    return uid


def _one(event: Any, name: str) -> Any:
    """The value of a property that may stand once; None without it."""
    value = event.get(name)
    if isinstance(value, list):
        raise CalendarRefused(f"{_name(event)}: {name} stands twice.")
    return value


def _stand_ins(event: Any, zone: ZoneInfo, moved: set[tuple[str, datetime]]) -> Iterator[StandIn]:
    uid = _uid(event)
    if "RDATE" in event:
        raise CalendarRefused(f"{_name(event)}: RDATE is not read. Make an event of each.")
    begins, home = _wall(event, "DTSTART", zone)
    length = _length(event, begins, zone, home)
    if str(_one(event, "STATUS") or "").upper() == "CANCELLED":
        return
    who, reason = _who(event), str(_one(event, "DESCRIPTION") or "")[:200]
    left_out = _excluded(event, zone)
    for start in _starts(event, begins, home):
        at = instant_of(start, home)
        if at in left_out or ("RECURRENCE-ID" not in event and (uid, at) in moved):
            continue
        yield StandIn(uid, who, at, instant_of(start + length, home), reason)


def _who(event: Any) -> tuple[str, ...]:
    """Words that may name the person: addresses of attendees, then the summary."""
    attendees = event.get("ATTENDEE", [])
    attendees = attendees if isinstance(attendees, list) else [attendees]
    addresses = [str(a)[7:] for a in attendees if str(a).lower().startswith("mailto:")]
    summary = str(_one(event, "SUMMARY") or "").strip()
    words = tuple(word[:254] for word in (*addresses[:MOST_ATTENDEES], summary) if word)
    if not words:
        raise CalendarRefused(
            f"{_name(event)} names nobody: give a SUMMARY with a user name, or an ATTENDEE."
        )
    return words


def _wall(event: Any, name: str, zone: ZoneInfo) -> tuple[datetime, ZoneInfo]:
    """A property as a naive local time and the zone in which it is one."""
    value = _one(event, name)
    if value is None:
        raise CalendarRefused(f"{_name(event)}: {name} is missing.")
    return _wall_of(value.dt, value.params, zone, f"{_name(event)}: {name}")


def _wall_of(when: Any, params: Any, zone: ZoneInfo, what: str) -> tuple[datetime, ZoneInfo]:
    if not isinstance(when, datetime):
        if not isinstance(when, date):
            raise CalendarRefused(f"{what} is no date.")
        return _in_reach(datetime.combine(when, time()), what), zone
    if when.tzinfo is None:
        if params.get("TZID"):  # the library drops a zone that it does not know
            raise CalendarRefused(f"{what}: the time zone {str(params['TZID'])[:60]!r} is unknown.")
        return _in_reach(when, what), zone
    if isinstance(when.tzinfo, ZoneInfo):
        return _in_reach(when.replace(tzinfo=None), what), when.tzinfo
    if when.utcoffset() == timedelta():
        return _in_reach(when.replace(tzinfo=None), what), ZoneInfo("UTC")
    raise CalendarRefused(f"{what}: a time zone that the file defines itself is not read. Use an IANA name.")


def _in_reach(wall: datetime, what: str) -> datetime:
    if not 1971 <= wall.year <= 2999:
        raise CalendarRefused(f"{what} lies outside the years 1971 to 2999.")
    return wall.replace(microsecond=0, fold=0)


def _length(event: Any, begins: datetime, zone: ZoneInfo, home: ZoneInfo) -> timedelta:
    """On the wall, so that a shift from 09:00 to 09:00 stays one when the clock is changed."""
    if (given := _one(event, "DURATION")) is not None:
        length = given.dt
    elif "DTEND" in event:
        ends, there = _wall(event, "DTEND", zone)
        length = wall_of(instant_of(ends, there), home) - begins
    else:
        length = timedelta(days=1) if not isinstance(event["DTSTART"].dt, datetime) else timedelta()
    if not isinstance(length, timedelta) or not timedelta() < length <= LONGEST:
        raise CalendarRefused(f"{_name(event)} has no length, a negative one, or one of more than a year.")
    return length


# --- Recurrence ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Rule:
    step: timedelta
    days: tuple[int, ...]
    count: int | None
    until: datetime | None


def _starts(event: Any, begins: datetime, home: ZoneInfo) -> Iterator[datetime]:
    """Beginnings on the wall, the first one included."""
    given = _one(event, "RRULE")
    if given is None:
        yield begins
        return
    rule, found, week = _rule(event, given, home), 0, begins
    while rule.until is None or week <= rule.until + timedelta(weeks=1):
        for start in _in_step(week, begins, rule.days):
            if (rule.count is not None and found >= rule.count) or (rule.until and start > rule.until):
                return
            found += 1
            if found > MOST_TIMES:
                raise CalendarRefused(f"{_name(event)} recurs more than {MOST_TIMES} times.")
            yield start
        week += rule.step


def _in_step(at: datetime, begins: datetime, days: tuple[int, ...]) -> Iterator[datetime]:
    """Beginnings of one day, or of one week where the rule names days."""
    if not days:
        yield at
        return
    monday = at - timedelta(days=at.weekday())
    for day in days:
        if monday + timedelta(days=day) >= begins:
            yield monday + timedelta(days=day)


def _rule(event: Any, given: Any, home: ZoneInfo) -> _Rule:
    unknown = set(given) - _KNOWN_PARTS
    frequency = str(given.get("FREQ", [""])[0])
    if unknown or frequency not in _FREQUENCIES:
        what = ", ".join(sorted(unknown)) or f"FREQ={frequency}"
        raise CalendarRefused(
            f"{_name(event)}: {what} in RRULE is not read. DAILY and WEEKLY with BYDAY are."
        )
    if any(str(d) != "MO" for d in given.get("WKST", [])):
        raise CalendarRefused(f"{_name(event)}: weeks begin on Monday here; WKST says otherwise.")
    count, until = given.get("COUNT", [None])[0], given.get("UNTIL", [None])[0]
    if count is None and until is None:
        raise CalendarRefused(
            f"{_name(event)} recurs without end: give UNTIL or COUNT. A rotation is a layer."
        )
    interval = int(given.get("INTERVAL", [1])[0])
    days = tuple(sorted({_day(event, str(word)) for word in given.get("BYDAY", [])}))
    if not 1 <= interval <= 1000 or (count is not None and count < 1) or (days and frequency != "WEEKLY"):
        raise CalendarRefused(f"{_name(event)}: INTERVAL, COUNT or BYDAY of its RRULE is out of range.")
    ends = None if until is None else _until(event, until, home)
    return _Rule(interval * _FREQUENCIES[frequency], days, count, ends)


def _day(event: Any, word: str) -> int:
    if word not in _DAYS:
        raise CalendarRefused(f"{_name(event)}: BYDAY={word[:20]} is not read; days without numbers are.")
    return _DAYS.index(word)


def _until(event: Any, until: Any, home: ZoneInfo) -> datetime:
    """The last beginning that counts, on the wall of the event."""
    if not isinstance(until, datetime):
        return datetime.combine(until, time.max)
    return _in_reach(wall_of(until, home) if until.tzinfo else until, f"{_name(event)}: UNTIL")


def _key(event: Any, zone: ZoneInfo) -> tuple[str, datetime]:
    """Which occurrence of a recurring event this event replaces."""
    wall, home = _wall(event, "RECURRENCE-ID", zone)
    return _uid(event), instant_of(wall, home)


def _excluded(event: Any, zone: ZoneInfo) -> set[datetime]:
    given = event.get("EXDATE", [])
    found = set()
    for listed in given if isinstance(given, list) else [given]:
        for one in listed.dts:
            wall, home = _wall_of(one.dt, listed.params, zone, f"{_name(event)}: EXDATE")
            found.add(instant_of(wall, home))
    return found
