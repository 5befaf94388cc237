"""Which time and which part of the house an analysis speaks of: one range and one filter for all of a page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.exceptions import ValidationError

from apps.core.spans import whole_hour
from apps.projects.intake import parse_time
from apps.projects.models import Component, Project

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RANGES = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
WORDS = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d"}
DEFAULT = "24h"
MOST_DAYS = 92
_SLUGS = re.compile(r"[a-z0-9-]{1,60}(?:/[a-z0-9-]{1,60})?")
_UNKNOWN = "No such project or component. Give its slug, such as shop or shop/payments."
# Up to here counters by the minute are read; beyond it hours, and the range grows to whole ones.
MOST_BY_MINUTE = 3 * HOUR


@dataclass(frozen=True)
class Scope:
    """Half open: [start, end). `running` means that it ends now. `name` is one of RANGES, or "" for a from–to."""

    start: datetime
    end: datetime
    now: datetime
    name: str = DEFAULT
    project: Project | None = None
    component: Component | None = None

    @property
    def running(self) -> bool:
        """Whether what happens now is in it."""
        return self.end > self.now

    @property
    def by_minute(self) -> bool:
        """Whether counters by the minute are to be read."""
        return self.end - self.start <= MOST_BY_MINUTE + MINUTE

    @property
    def of(self) -> str:
        """The filter as it stands in the address."""
        if self.component is not None:
            return f"{self.component.project.slug}/{self.component.slug}"
        return self.project.slug if self.project else ""

    @property
    def of_words(self) -> str:
        """The filter as people read it."""
        if self.component is not None:
            return f"{self.component.project.name}: {self.component.name}"
        return self.project.name if self.project else "all projects"

    @property
    def keys(self) -> dict[str, int]:
        """The filter as columns that every rollup by component has."""
        if self.component is not None:
            return {"component_id": self.component.pk}
        return {"project_id": self.project.pk} if self.project else {}

    @property
    def hours_from(self) -> datetime:
        """The start for what is counted by the hour only: its own hour's."""
        return whole_hour(self.start)

    @property
    def project_keys(self) -> dict[str, int]:
        """The filter as the column that rollups by project have: a component's project."""
        return {"project_id": self.project.pk} if self.project else {}

    def query(self) -> dict[str, str]:
        """What an address needs to show the same."""
        span = {"range": self.name} if self.name else {"from": _iso(self.start), "to": _iso(self.end)}
        return {**span, **({"of": self.of} if self.of else {})}

    def over(self, name: str) -> "Scope":
        """The same filter over another of RANGES."""
        return Scope(*_last(RANGES[name], self.now), self.now, name, self.project, self.component)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _last(span: timedelta, now: datetime) -> tuple[datetime, datetime]:
    """At least the span: from the whole minute or hour before its beginning, to the end of the running one."""
    step = MINUTE if span <= MOST_BY_MINUTE else HOUR
    return _floor(now - span, step), _floor(now, step) + step


def _floor(at: datetime, step: timedelta) -> datetime:
    at = at.replace(second=0, microsecond=0)
    return at.replace(minute=0) if step == HOUR else at


def read(given: Mapping[str, str], now: datetime, default: str = DEFAULT) -> Scope:
    """From `range` or `from` and `to`, and `of` (project or project/component, by slug).

    Raises ValidationError with the names of the parameters that cannot be used.
    """
    start, end, name = _span(given, now, default)
    project, component = _part(given.get("of", "").strip())
    return Scope(start, end, now, name, project, component)


def _span(given: Mapping[str, str], now: datetime, default: str) -> tuple[datetime, datetime, str]:
    if not (given.get("from") or given.get("to")):
        name = given.get("range") or default
        if name not in RANGES:
            raise ValidationError({"range": f"Use one of {', '.join(RANGES)}, or from and to."})
        return *_last(RANGES[name], now), name
    start = _time(given, "from", None)
    end = min(_time(given, "to", now), _last(HOUR, now)[1])
    if start >= end:
        raise ValidationError({"from": "Must lie before to, and before now."})
    if end - start > MOST_DAYS * DAY:
        raise ValidationError({"from": f"At most {MOST_DAYS} days at once."})
    step = MINUTE if end - start <= MOST_BY_MINUTE else HOUR
    floor = _floor(end, step)
    return _floor(start, step), floor if floor == end else floor + step, ""


def _time(given: Mapping[str, str], field: str, default: datetime | None) -> datetime:
    text = given.get(field, "").strip()
    at = parse_time(text) if text else default
    if at is None or not datetime(2000, 1, 1, tzinfo=UTC) <= at <= datetime(2200, 1, 1, tzinfo=UTC):
        raise ValidationError({field: "Give a time such as 2026-05-01T13:00Z."})
    return at


def _part(text: str) -> tuple[Project | None, Component | None]:
    """One query whatever is asked for."""
    project, _, component = text.partition("/")
    if not text:
        return None, None
    if not _SLUGS.fullmatch(text):
        raise ValidationError({"of": _UNKNOWN})
    if component:
        found = (
            Component.objects.select_related("project").filter(project__slug=project, slug=component).first()
        )
        if found is not None:
            return found.project, found
    elif (whole := Project.objects.filter(slug=project).first()) is not None:
        return whole, None
    raise ValidationError(
        {"of": "No such project or component. Give its slug, such as shop or shop/payments."}
    )
