"""Reads of on-call: who has it now and next, and what a calendar shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model

from apps.alerts.models.oncall import CalendarLink, PersonZone, Schedule
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import rotations
from apps.alerts.oncall.calendar import Entry
from apps.alerts.oncall.rotations import NEAR, Shift

CALENDAR_BACK = timedelta(days=31)
CALENDAR_AHEAD = timedelta(days=180)


def names_of(people: Iterable[int]) -> dict[int, str]:
    """Full names, else user names, by id."""
    users = get_user_model().objects.filter(pk__in=set(people))
    return {user.pk: user.get_full_name() or user.get_username() for user in users}


def zones_of(people: Iterable[int]) -> dict[int, ZoneInfo]:
    """Each person's own zone; the portal's where they gave none."""
    own = dict(PersonZone.objects.filter(user__in=set(people)).values_list("user", "zone"))
    return {person: ZoneInfo(own.get(person, settings.PORTAL_TIME_ZONE)) for person in people}


# --- Now ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Duty:
    """Who has a schedule now, since and until when, and who follows. Nobody in `people` is a gap."""

    at: datetime
    schedule: Schedule
    people: tuple[str, ...]
    user_ids: tuple[int, ...]
    shift: Shift
    then: tuple[str, ...]

    @property
    def is_gap(self) -> bool:
        """Nobody has it."""
        return not self.people

    @property
    def since_known(self) -> bool:
        """The shift began within the two weeks that are looked at."""
        return self.shift.starts > self.at - NEAR

    @property
    def until_known(self) -> bool:
        """It ends within the next two weeks."""
        return self.shift.ends < self.at + NEAR


def on_call_now(now: datetime) -> list[Duty]:
    """Every schedule by name, in a fixed number of queries."""
    listed = oncall_facts.facts_of_all(now)
    held = [(one, rotations.current(facts, now), rotations.next_on_call(facts, now)) for one, facts in listed]
    names = names_of(person for _, shift, then in held for person in (*shift.people, *then))
    return [
        Duty(now, one, named(shift.people, names), shift.people, shift, named(then, names))
        for one, shift, then in held
    ]


def named(people: Iterable[int], names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names.get(person, "somebody") for person in people)


# --- Calendars ----------------------------------------------------------------------------------------------
def calendar_of(link: CalendarLink, now: datetime) -> tuple[str, list[Entry]]:
    """The calendar's name and its shifts, a month back and half a year ahead, in order."""
    schedules = Schedule.objects.select_related("team")
    if link.schedule_id:
        schedules = schedules.filter(pk=link.schedule_id)
    elif link.team_id:
        schedules = schedules.filter(team=link.team_id)
    entries = entries_of(schedules, now, only=link.user_id)
    return f"On call: {_subject(link)}", sorted(entries, key=lambda entry: (entry.starts, entry.uid))


def _subject(link: CalendarLink) -> str:
    return link.user.get_full_name() or link.user.get_username() if link.user else str(link.subject)


def entries_of(schedules: Iterable[Schedule], now: datetime, *, only: int | None = None) -> list[Entry]:
    """Shifts as events, one a person; with `only` those of one person. A shift's id follows from its schedule,
    layer, turn, beginning and person, so that it is the same whenever it is read."""
    listed = list(schedules)
    facts = oncall_facts.facts_of(listed, now)
    found = [
        (one, shift, person)
        for one in listed
        for shift in rotations.whole_shifts(facts[one.pk], now - CALENDAR_BACK, now + CALENDAR_AHEAD)
        for person in shift.people
        if only in (None, person)
    ]
    names = names_of(person for *_, person in found)
    return [_entry(one, shift, person, names) for one, shift, person in found]


def _entry(schedule: Schedule, shift: Shift, person: int, names: Mapping[int, str]) -> Entry:
    by = f"o{shift.override}" if shift.override is not None else f"l{shift.layer}-{shift.turn}"
    host = urlsplit(settings.SITE_URL).hostname or "portal"
    uid = f"shift-{schedule.pk}-{by}-{shift.starts:%Y%m%dT%H%M%SZ}-{person}@{host}"
    who = names.get(person, "somebody")
    url = f"{settings.SITE_URL}/admin/alerts/schedule/{schedule.pk}/change/"
    note = "Stands in." if shift.override is not None else ""
    return Entry(uid, shift.starts, shift.ends, f"{who} on call: {schedule.name}", note, url)
