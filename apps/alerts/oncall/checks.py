"""What is wrong or odd with a schedule, in sentences for those who edit it. Pure; `now` is passed in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from apps.alerts.oncall import rotations
from apps.alerts.oncall.localtime import instant_of
from apps.alerts.oncall.rotations import Layer, Schedule, Shift
from apps.core.wording import clock_words, duration_words

LOOK_AHEAD = timedelta(days=28)
GAPS_NAMED = 3


@dataclass(frozen=True)
class Warned:
    """A sentence, and whether somebody may stay unpaged for it (shown red) or it is merely odd."""

    text: str
    bad: bool = False


@dataclass(frozen=True)
class Said:
    """What the sentences need beside the schedule: names of people, the reader's zone, who has left by
    layer, names of equal layers."""

    names: Mapping[int, str]
    zone: tzinfo = UTC
    gone: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    equal: tuple[str, ...] = ()


def warnings(schedule: Schedule, said: Said, now: datetime) -> list[Warned]:
    """Everything that its author should know, the worst first. Looks 28 days ahead."""
    found = [*_of_schedule(schedule, said, now)]
    for layer in schedule.layers:
        found += _of_layer(layer, schedule, said, now)
    found += _of_overrides(schedule, said, now)
    return sorted(found, key=lambda warned: not warned.bad)


def _of_schedule(schedule: Schedule, said: Said, now: datetime) -> Iterator[Warned]:
    if not schedule.layers:
        yield Warned("It has no layers: only overrides put anybody on call.", bad=True)
    if said.equal:
        names = ", ".join(said.equal)
        yield Warned(
            f"Layers of equal strength: {names}. The one made first decides; give them different numbers."
        )
    yield from _of_gaps(rotations.shifts(schedule, now, now + LOOK_AHEAD), said, now)


def _of_gaps(found: Iterable[Shift], said: Said, now: datetime) -> Iterator[Warned]:
    empty = rotations.gaps(found)
    if not empty:
        return
    total = sum((gap.ends - gap.starts for gap in empty), timedelta())
    named = "; ".join(_span(gap, now, said.zone) for gap in empty[:GAPS_NAMED])
    more = f" and {len(empty) - GAPS_NAMED} more" if len(empty) > GAPS_NAMED else ""
    yield Warned(
        f"Nobody is on call for {duration_words(total)} of the next 28 days: {named}{more}.", bad=True
    )


def _span(gap: Shift, now: datetime, zone: tzinfo) -> str:
    return f"{clock_words(gap.starts, now, zone)} for {duration_words(gap.ends - gap.starts)}"


def _of_layer(layer: Layer, schedule: Schedule, said: Said, now: datetime) -> Iterator[Warned]:
    for who in dict.fromkeys(said.gone.get(layer.id, ())):
        yield Warned(f"{layer.name}: {who} is no longer active and is passed over.")
    if not layer.turns:
        yield Warned(f"{layer.name} has nobody in it.", bad=True)
        return
    if layer.ends and instant_of(layer.ends, layer.zone) <= now:
        yield Warned(f"{layer.name} has ended.")
        return
    if instant_of(layer.starts, layer.zone) >= now + LOOK_AHEAD:
        yield Warned(f"{layer.name} begins more than 28 days from now.")
        return
    yield from _of_work(layer, schedule, said, now)


def _of_work(layer: Layer, schedule: Schedule, said: Said, now: datetime) -> Iterator[Warned]:
    """A layer or a person in it that never comes to be on call."""
    horizon = max(LOOK_AHEAD, 2 * layer.period * len(layer.turns))
    if horizon > rotations.LONGEST * 2:
        return
    alone = rotations.shifts(Schedule(schedule.id, (layer,)), now, now + horizon)
    if layer.ends is None:
        busy = {person for shift in alone for person in shift.people}
        for person in dict.fromkeys(p for turn in layer.turns for p in turn):
            if person not in busy:
                who = said.names.get(person, "somebody")
                yield Warned(f"{layer.name}: the turns of {who} always fall outside its windows.")
    deciding = rotations.shifts(Schedule(schedule.id, schedule.layers), now, now + LOOK_AHEAD)
    if not any(shift.layer == layer.id for shift in deciding):
        yield Warned(
            f"{layer.name} decides nothing in the next 28 days: stronger layers cover it, or it is closed."
        )


def _of_overrides(schedule: Schedule, said: Said, now: datetime) -> Iterator[Warned]:
    for one, other in rotations.overlaps(o for o in schedule.overrides if o.ends > now):
        later = max(one, other, key=lambda o: schedule.overrides.index(o))
        both = " and ".join(said.names.get(o.person, "somebody") for o in (one, other))
        who = said.names.get(later.person, "somebody")
        yield Warned(f"Overrides of {both} overlap: {who} counts, who was put in later.")
