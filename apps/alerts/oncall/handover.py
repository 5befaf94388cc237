"""Handover: whoever's shift begins is told, by the outbox, until when it lasts and what is open.

A notice's key names schedule, beginning and person, so that the tick may run late, twice or on two workers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.conf import settings

from apps.alerts import messages, outbox, paging
from apps.alerts.escalation import PersonFacts, Target
from apps.alerts.messages import Told
from apps.alerts.models import Alert, Page
from apps.alerts.models.oncall import Schedule
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import queries as oncall_queries
from apps.alerts.oncall import rotations
from apps.alerts.oncall.rotations import Shift
from apps.core.ticks import TickReport
from apps.core.wording import clock_words

LATE_BY = timedelta(minutes=30)
ALERTS_NAMED = 10


@dataclass(frozen=True)
class Handover:
    """A shift that began lately and still runs, for one person: until when, whom it came from, who follows."""

    schedule: Schedule
    person: int
    starts: datetime
    until: datetime | None
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def key(self) -> str:
        """Once for this beginning of this person."""
        return f"handover-{self.schedule.pk}-{int(self.starts.timestamp())}-{self.person}"


def tell_handovers(*, now: datetime) -> TickReport:
    """A notice to everybody whose shift began within the last half hour and who was not told yet."""
    schedules = list(Schedule.objects.filter(handover_mail=True))
    facts = oncall_facts.facts_of(schedules, now)
    begun = [one for schedule in schedules for one in handovers(schedule, facts[schedule.pk], now)]
    told = set(Page.objects.filter(key__in=[one.key for one in begun]).values_list("key", flat=True))
    due = [one for one in begun if one.key not in told]
    if due:
        _tell(due, now)
    return TickReport(f"{len(due)} told" if due else "", pieces=len(due))


def handovers(schedule: Schedule, facts: rotations.Schedule, now: datetime) -> Iterator[Handover]:
    """Beginnings within the last half hour. Who had it already under another turn takes nothing over."""
    found = rotations.shifts(facts, now - 2 * LATE_BY, now + rotations.NEAR)
    for before, shift in pairwise(found):
        if now - LATE_BY < shift.starts <= now < shift.ends:
            for person in shift.people:
                if person not in before.people:
                    until = _until(found, person, shift)
                    after = rotations.on_call(facts, until) if until else ()
                    yield Handover(schedule, person, shift.starts, until, before.people, after)


def _until(found: Iterable[Shift], person: int, shift: Shift) -> datetime | None:
    """The end of the person's time, over all shifts that follow each other; None when it is not in sight."""
    later = (one for one in found if one.starts >= shift.starts)
    return next((one.starts for one in later if person not in one.people), None)


def _tell(due: list[Handover], now: datetime) -> None:
    everybody = {person for one in due for person in (one.person, *one.before, *one.after)}
    people, names = paging.people_facts({one.person for one in due}), oncall_queries.names_of(everybody)
    zones = oncall_queries.zones_of({one.person for one in due})
    alerts = list(Alert.objects.real().open().select_related("component")[: ALERTS_NAMED + 1])
    for one in due:
        target = _target(people.get(one.person))
        if target is not None:
            told = words(one, names, alerts, zones[one.person], now)
            outbox.notice(key=one.key, target=target, told=told, now=now)


def _target(person: PersonFacts | None) -> Target | None:
    """By mail where there is an address, else the person's first way. None: nobody to tell."""
    if person is None or not person.active or not person.methods:
        return None
    way = next((method for method in person.methods if method.kind == "email"), person.methods[0])
    return Target(way.kind, way.address, person.label, person.user_id, None, way.id)


def words(one: Handover, names: dict[int, str], alerts: list[Alert], zone: ZoneInfo, now: datetime) -> Told:
    """What the person reads; times in the person's own zone."""
    until = clock_words(one.until, now, zone) if one.until else "further notice"
    before, after = (", ".join(oncall_queries.named(people, names)) for people in (one.before, one.after))
    listed = [f"- [{a.severity}] {a.title}: {messages.url_of(a)}" for a in alerts[:ALERTS_NAMED]]
    more = ["- and more"] if len(alerts) > ALERTS_NAMED else []
    lines = [
        f"You are on call for {one.schedule.name} until {until}.",
        f"Before you: {before or 'nobody'}. After you: {after or ('nobody' if one.until else 'not in sight')}.",
        "",
        *(["Open now:", *listed, *more] if alerts else ["No alert is open."]),
        "",
        f"{settings.SITE_URL}/admin/alerts/schedule/{one.schedule.pk}/change/",
    ]
    subject = f"[ON CALL] {one.schedule.name} until {until}"
    return Told(subject[:250], "\n".join(lines), {"sentence": lines[0]})
