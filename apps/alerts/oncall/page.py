"""What a schedule's page shows: the next days as a table and as a timeline, gaps among them, and what is odd."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from apps.alerts.models.oncall import Schedule
from apps.alerts.oncall import checks as oncall_checks
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import rotations
from apps.alerts.oncall import timeline as oncall_timeline
from apps.alerts.oncall.checks import Said, Warned
from apps.alerts.oncall.queries import named, names_of
from apps.alerts.oncall.rotations import Shift
from apps.alerts.oncall.timeline import Piece
from apps.core.wording import day_words, zone_word

COLOURS = 6


@dataclass(frozen=True)
class Row:
    """One shift or gap of the table. Times in words: here, and where the schedule lives."""

    shift: Shift
    people: tuple[str, ...]
    layer: str
    is_now: bool
    here: tuple[str, str]
    there: tuple[str, str]


@dataclass(frozen=True)
class Bar:
    """A piece of a day: which columns, who in words, and the class of its colour."""

    start: int
    width: int
    label: str
    tone: str


@dataclass(frozen=True)
class Line:
    """One day of the timeline."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Sight:
    """All of it. `gap` is the total of what nobody has."""

    rows: tuple[Row, ...]
    lines: tuple[Line, ...]
    warnings: tuple[Warned, ...]
    people: tuple[tuple[str, str], ...]


def sight(schedule: Schedule, *, now: datetime, days: int, zone: ZoneInfo) -> Sight:
    """From now until the end of the last of `days` local days in `zone`; today is drawn from its midnight."""
    facts = oncall_facts.facts_of([schedule], now)[schedule.pk]
    edges = oncall_timeline.midnights(now, days, zone)
    found = rotations.shifts(facts, edges[0], edges[-1])
    words = _Words(facts, found, schedule, now, zone)
    rows = tuple(words.row(shift) for shift in found if shift.ends > now)
    lines = tuple(words.line(day) for day in oncall_timeline.days_of(found, edges))
    warned = oncall_checks.warnings(facts, _said(schedule, words.names, zone), now)
    return Sight(rows, lines, tuple(warned), words.people(found))


class _Words:
    """Names, colours and times of one page."""

    def __init__(self, facts: rotations.Schedule, found: list[Shift], schedule: Schedule, now: datetime,
                 zone: ZoneInfo) -> None:  # fmt: skip
        known = {person for layer in facts.layers for turn in layer.turns for person in turn}
        self.names = names_of(known | {o.person for o in facts.overrides})
        self.tones = {person: f"oncall-c{n % COLOURS + 1}" for n, person in enumerate(sorted(self.names))}
        self.layers: Mapping[int | None, str] = {layer.id: layer.name for layer in facts.layers}
        self.now, self.here, self.there = now, zone, ZoneInfo(schedule.zone)

    def row(self, shift: Shift) -> Row:
        people = named(shift.people, self.names)
        by = "Override" if shift.override is not None else self.layers.get(shift.layer, "")
        times = [
            tuple(self._time(at, zone) for at in (shift.starts, shift.ends))
            for zone in (self.here, self.there)
        ]
        return Row(shift, people, by, shift.starts <= self.now < shift.ends, times[0], times[1])  # type: ignore[arg-type]

    def _time(self, at: datetime, zone: ZoneInfo) -> str:
        wall = at.astimezone(zone)
        return f"{wall:%a} {day_words(wall.date(), self.now.astimezone(zone).date())} {wall:%H:%M} {zone_word(wall)}"

    def line(self, day: oncall_timeline.Day) -> Line:
        wall = day.starts.astimezone(self.here)
        words = f"{wall:%a} {day_words(wall.date(), self.now.astimezone(self.here).date())}"
        return Line(words, tuple(self._bar(piece) for piece in day.pieces))

    def _bar(self, piece: Piece) -> Bar:
        people = piece.shift.people
        tone = self.tones.get(people[0], "oncall-c1") if people else "oncall-gap"
        return Bar(piece.start + 1, piece.width, ", ".join(named(people, self.names)) or "Nobody", tone)

    def people(self, found: list[Shift]) -> tuple[tuple[str, str], ...]:
        """Who comes in the range, with their colours."""
        present = sorted({person for shift in found for person in shift.people})
        return tuple((self.names.get(person, "somebody"), self.tones.get(person, "")) for person in present)


def _said(schedule: Schedule, names: Mapping[int, str], zone: ZoneInfo) -> Said:
    """What the warnings say beside the arithmetic."""
    layers = list(oncall_facts.layers_of([schedule.pk]))
    strengths = [layer.order for layer in layers]
    equal = tuple(layer.name for layer in layers if strengths.count(layer.order) > 1)
    gone = {
        layer.pk: tuple(_name(m.user) for m in layer.members.all() if not m.user.is_active)
        for layer in layers
    }
    return Said(names, zone, gone, equal)


def _name(user: Any) -> str:
    return user.get_full_name() or user.get_username()
