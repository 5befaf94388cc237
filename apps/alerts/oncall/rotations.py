"""Who is on call when: layers of rotations, weekly windows, overrides. Pure; the cost grows with the number of
handovers in the range asked for, never with its minutes.

Rotations count on the wall: "every week, Monday 09:00" hands over at 09:00 local time all year, so that the two
weeks in which the clock is changed last 167 and 169 hours. Which instant a local time means when the clock is
changed is the rule of `localtime`. The same holds for windows. Instants are UTC, intervals half-open.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from apps.alerts.oncall.localtime import instant_of, wall_of
from apps.alerts.oncall.windows import WEEK_MIN, Window

UNITS = {"hours": timedelta(hours=1), "days": timedelta(days=1), "weeks": timedelta(weeks=1)}
LONGEST = timedelta(days=366)
NEAR = timedelta(days=14)
LOOK_AHEAD_DAYS = (14, 90, 800)
_MINUTE = timedelta(minutes=1)


# --- What goes in -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Layer:
    """One rotation. `turns` are groups of people who are on call together, nobody in an empty one; the first has
    `starts`, a naive local time of the zone; the next follows after `period`. Before `starts` and from `ends` on
    the layer has nobody."""

    id: int
    name: str
    zone: ZoneInfo
    turns: tuple[tuple[int, ...], ...]
    starts: datetime
    period: timedelta
    windows: tuple[Window, ...] = ()
    ends: datetime | None = None


@dataclass(frozen=True)
class Override:
    """Somebody stands in, whatever the layers say. Of two at one time the later in the list counts."""

    id: int
    person: int
    starts: datetime
    ends: datetime


@dataclass(frozen=True)
class Schedule:
    """Layers, the strongest first: the first that has somebody on call decides; overrides stand above them all."""

    id: int
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()


# --- What comes out -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shift:
    """An interval with the same people by the same turn or override. A gap is a shift of nobody."""

    starts: datetime
    ends: datetime
    people: tuple[int, ...] = ()
    layer: int | None = None
    turn: int | None = None
    override: int | None = None

    @property
    def is_gap(self) -> bool:
        """Nobody is on call."""
        return not self.people

    def cut(self, start: datetime, end: datetime) -> "Shift":
        """The part within a range."""
        return replace(self, starts=max(self.starts, start), ends=min(self.ends, end))


# --- One instant --------------------------------------------------------------------------------------------
def on_call(schedule: Schedule, at: datetime) -> tuple[int, ...]:
    """People on call at an instant; empty in a gap."""
    for override in reversed(schedule.overrides):
        if override.starts <= at < override.ends:
            return (override.person,)
    return next((people for layer in schedule.layers if (people := _of_layer(layer, at))), ())


def _of_layer(layer: Layer, at: datetime) -> tuple[int, ...]:
    turn = turn_at(layer, at)
    if turn is None or not _within_windows(layer, at):
        return ()
    return layer.turns[turn % len(layer.turns)]


def turn_at(layer: Layer, at: datetime) -> int | None:
    """Number of the turn, from 0, to which an instant belongs; None before the start, after the end, without people."""
    if not layer.turns or (layer.ends is not None and instant_of(layer.ends, layer.zone) <= at):
        return None
    turn = _turn_by(layer, at)
    return None if turn < 0 else turn


def _turn_by(layer: Layer, at: datetime) -> int:
    """As if the layer had no start and no end. Where the clock was put back, what it had reached counts."""
    turn = (wall_of(at, layer.zone) - layer.starts) // layer.period
    while _handover(layer, turn + 1) <= at:
        turn += 1
    return turn


def _handover(layer: Layer, turn: int) -> datetime:
    return instant_of(layer.starts + turn * layer.period, layer.zone)


def _within_windows(layer: Layer, at: datetime) -> bool:
    if not layer.windows:
        return True
    wall = wall_of(at, layer.zone)
    pieces = _open_on_the_wall(layer, wall - timedelta(days=2), wall + timedelta(days=2))
    return any(
        instant_of(start, layer.zone) <= at < instant_of(end, layer.zone) for start, end in pieces
    )  # fmt: skip


def _open_on_the_wall(layer: Layer, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The layer's windows within a naive range, cut to it; all of it without windows."""
    if not layer.windows:
        yield start, end
        return
    week = (start - timedelta(days=start.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    while week < end:
        for window in layer.windows:
            opens, closes = max(week + window.start * _MINUTE, start), min(week + window.end * _MINUTE, end)
            if opens < closes:
                yield opens, closes
        week += WEEK_MIN * _MINUTE


# --- A range ------------------------------------------------------------------------------------------------
def shifts(schedule: Schedule, start: datetime, end: datetime) -> list[Shift]:
    """Intervals that fill [start, end) without overlap, gaps among them as shifts of nobody."""
    if end <= start:
        return []
    sources = [_Source(_override_shifts(schedule.overrides, start, end))]
    sources += [_Source(list(_layer_shifts(layer, start, end))) for layer in schedule.layers]
    edges = {start, end}.union(*(source.edges for source in sources))
    found: list[Shift] = []
    for begins, stops in pairwise(sorted(edges)):
        held = next((one for source in sources if (one := source.at(begins))), None)
        piece = replace(held, starts=begins, ends=stops) if held else Shift(begins, stops)
        if found and _same(found[-1], piece):
            found[-1] = replace(found[-1], ends=stops)
        else:
            found.append(piece)
    return found


def _same(one: Shift, other: Shift) -> bool:
    facts = (one.people, one.layer, one.turn, one.override)
    return facts == (other.people, other.layer, other.turn, other.override)


class _Source:
    """Shifts of one layer in order, without overlap, to be asked for an instant."""

    def __init__(self, held: list[Shift]) -> None:
        self.held = held
        self.starts = [shift.starts for shift in held]
        self.edges = {edge for shift in held for edge in (shift.starts, shift.ends)}

    def at(self, instant: datetime) -> Shift | None:
        index = bisect_right(self.starts, instant) - 1
        return self.held[index] if index >= 0 and instant < self.held[index].ends else None


def _layer_shifts(layer: Layer, start: datetime, end: datetime) -> Iterator[Shift]:
    """Turns of one layer within a range, cut by its windows."""
    if not layer.turns:
        return
    ends = end if layer.ends is None else min(end, instant_of(layer.ends, layer.zone))
    turn = max(0, _turn_by(layer, start))
    while _handover(layer, turn) < ends:
        begins = layer.starts + turn * layer.period
        people = layer.turns[turn % len(layer.turns)]
        for opens, closes in _open_on_the_wall(layer, begins, begins + layer.period):
            whole = Shift(
                instant_of(opens, layer.zone), instant_of(closes, layer.zone), people, layer.id, turn
            )
            piece = whole.cut(start, ends)
            # A turn on a day that a zone skipped has no length.
            if people and piece.starts < piece.ends:
                yield piece
        turn += 1


def _override_shifts(overrides: Iterable[Override], start: datetime, end: datetime) -> list[Shift]:
    """The override that counts at each time, in order."""
    near = [o for o in overrides if o.starts < end and start < o.ends]
    edges = sorted({min(max(edge, start), end) for o in near for edge in (o.starts, o.ends)})
    found = []
    for begins, stops in pairwise(edges):
        held = next((o for o in reversed(near) if o.starts <= begins < o.ends), None)
        if held:
            found.append(Shift(begins, stops, (held.person,), override=held.id))
    return found


def whole_shifts(schedule: Schedule, start: datetime, end: datetime) -> list[Shift]:
    """Shifts that touch [start, end), with their own beginnings and ends: what a calendar shows, and what has
    the same beginning whenever it is asked for. Gaps are left out."""
    edges = [
        edge for o in schedule.overrides if o.starts < end and start < o.ends for edge in (o.starts, o.ends)
    ]
    for layer in schedule.layers:
        if layer.turns:
            edges += [_handover(layer, _turn_by(layer, start)), _handover(layer, _turn_by(layer, end) + 1)]
    wide = shifts(schedule, min([start, *edges]), max([end, *edges]))
    return [shift for shift in wide if not shift.is_gap and shift.starts < end and start < shift.ends]


# --- Questions ----------------------------------------------------------------------------------------------
def current(schedule: Schedule, at: datetime) -> Shift:
    """The shift that holds an instant, which may be a gap, with its own beginning and end as far as two weeks."""
    found = shifts(schedule, at - NEAR, at + NEAR)
    return next(shift for shift in found if shift.starts <= at < shift.ends)


def people_of(schedule: Schedule) -> set[int]:
    """Everybody in any turn or override."""
    turns = {person for layer in schedule.layers for turn in layer.turns for person in turn}
    return turns | {override.person for override in schedule.overrides}


def next_on_call(schedule: Schedule, at: datetime) -> tuple[int, ...]:
    """The people who follow those on call at an instant: the first others; empty when nobody else ever comes."""
    now = set(on_call(schedule, at))
    if people_of(schedule) <= now:
        return ()
    for days in LOOK_AHEAD_DAYS:
        for shift in shifts(schedule, at, at + timedelta(days=days)):
            others = tuple(person for person in shift.people if person not in now)
            if others:
                return others
    return ()


def gaps(found: Iterable[Shift]) -> list[Shift]:
    """Those of nobody; neighbours are one already."""
    return [shift for shift in found if shift.is_gap]


def overlaps(overrides: Iterable[Override]) -> list[tuple[Override, Override]]:
    """Pairs of overrides at one time, for a warning: the one made later counts."""
    ordered = sorted(overrides, key=lambda o: o.starts)
    found, open_ = [], list[Override]()
    for override in ordered:
        open_ = [o for o in open_ if o.ends > override.starts]
        found += [(other, override) for other in open_]
        open_.append(override)
    return found
