"""How the load of being on call is shared: hours, pages, nights by each person's own clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, DateTimeField, Func, Value

from apps.alerts.models import Page, PageState
from apps.alerts.models.oncall import Schedule
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import queries as oncall_queries
from apps.alerts.oncall import rotations
from apps.alerts.oncall.nights import hours_of, night_of

BIN = timedelta(minutes=15)  # offsets of all zones are multiples of it


@dataclass(frozen=True)
class Load:
    """One person in a range. `nights` are those in which at least one page came, however many did."""

    person: int
    name: str
    zone: str
    hours: float
    night_hours: float
    alerts: int
    pages: int
    night_pages: int
    nights: int


def loads(*, start: datetime, end: datetime) -> list[Load]:
    """Everybody who was on call or paged in [start, end), the most disturbed first. Pages are those of escalations
    that were sent; hours are by the schedules as they stand now."""
    schedules = list(Schedule.objects.all())
    facts = oncall_facts.facts_of(schedules, start)
    shifts = [shift for one in facts.values() for shift in rotations.shifts(one, start, end)]
    bins, alerts = _pages(start, end)
    people = {person for shift in shifts for person in shift.people} | set(alerts)
    zones, names = oncall_queries.zones_of(people), oncall_queries.names_of(people)
    hours = hours_of(shifts, zones)
    found = [
        _load(p, names, zones[p], hours.get(p, (0.0, 0.0)), bins.get(p, {}), alerts.get(p, 0)) for p in people
    ]
    return sorted(found, key=lambda load: (-load.nights, -load.pages, load.name))


def _pages(start: datetime, end: datetime) -> tuple[dict[int, dict[datetime, int]], dict[int, int]]:
    """Pages sent by person and quarter of an hour, and alerts by person."""
    sent = Page.objects.filter(
        escalation__isnull=False, alert__is_drill=False, user__isnull=False,
        state__in=(PageState.SENT, PageState.DELIVERED),
        sent_at__gte=start, sent_at__lt=end,
    ).order_by()  # fmt: skip
    quarter = Func(
        Value(BIN), "sent_at", Value(start.replace(minute=0, second=0, microsecond=0)), function="date_bin",
        output_field=DateTimeField(),
    )  # fmt: skip
    bins: dict[int, dict[datetime, int]] = {}
    for person, at, n in (
        sent.annotate(quarter=quarter).values_list("user", "quarter").annotate(n=Count("pk"))
    ):
        bins.setdefault(person, {})[at] = n
    alerts = dict(sent.values_list("user").annotate(n=Count("alert", distinct=True)))
    return bins, alerts


def _load(person: int, names: Mapping[int, str], zone: ZoneInfo, hours: tuple[float, float],
          bins: Mapping[datetime, int], alerts: int) -> Load:  # fmt: skip
    dark = {at: n for at, n in bins.items() if night_of(at, zone) is not None}
    nights = {night_of(at, zone) for at in dark}
    return Load(
        person, names.get(person, "somebody"), zone.key, round(hours[0], 2), round(hours[1], 2), alerts,
        sum(bins.values()), sum(dark.values()), len(nights),
    )  # fmt: skip
