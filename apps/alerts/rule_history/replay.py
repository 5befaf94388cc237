"""What a rule would have done on readings of the past: the judge of the watch tick, stepped. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from apps.alerts.rules import Memory, Reading, Terms, judge


@dataclass(frozen=True)
class Episode:
    """One time that it would have fired for one subject. `resolved_at` None: still open where the replay ends.

    `worst` is the value furthest beyond the threshold while it was open.
    """

    subject: int
    fired_at: datetime
    resolved_at: datetime | None
    worst: float

    def lasted(self, until: datetime) -> timedelta:
        """From firing to resolving, or to `until`."""
        return (self.resolved_at or until) - self.fired_at


Change = tuple[int, Reading]


@dataclass(frozen=True)
class Steps:
    """A grid of looks: look number i is at `start` + i · `width`."""

    start: datetime
    width: timedelta
    count: int

    def at(self, look: int) -> datetime:
        """When that look is."""
        return self.start + look * self.width


def replay(terms: Terms, subject: int, changes: Sequence[Change], steps: Steps) -> list[Episode]:
    """Episodes of one subject. `changes`: (look, reading) in order; a reading stands until the next one.

    Looks between two changes that cannot alter anything are left out: what remains is each change, the look after it,
    the looks at which "must hold for" and "resolve after quiet" are reached, and the last one before the next change.
    """
    memory, firing, episodes = Memory(), False, []
    for look, reading in _looks(terms, changes, steps):
        while True:
            verdict = judge(terms, memory, reading, steps.at(look.now), firing=firing)
            memory = verdict.memory
            if verdict.act == "fire" and not firing:
                firing = True
                episodes.append(Episode(subject, steps.at(look.now), None, reading.value or 0.0))
            elif verdict.act == "resolve":
                firing = False
                last = episodes[-1]
                episodes[-1] = Episode(subject, last.fired_at, steps.at(look.now), last.worst)
            elif firing and reading.value is not None:
                episodes[-1] = _worse(terms, episodes[-1], reading.value)
            if not look.move_on(terms, memory, firing):
                break
    return episodes


def _worse(terms: Terms, episode: Episode, value: float) -> Episode:
    beyond = value < episode.worst if terms.condition.op.startswith("<") else value > episode.worst
    if not beyond:
        return episode
    return Episode(episode.subject, episode.fired_at, episode.resolved_at, value)


class _Look:
    """The looks at one reading, from its change to before the next."""

    def __init__(self, steps: Steps, first: int, before: int) -> None:
        self.steps, self.first, self.last, self.now = steps, first, before - 1, first

    def move_on(self, terms: Terms, memory: Memory, firing: bool) -> bool:
        """Go to the next look that matters; False when there is none."""
        later = [look for look in self._due(terms, memory, firing) if look > self.now]
        if self.now >= self.last:
            return False
        self.now = min([self.last, *later])
        return True

    def _due(self, terms: Terms, memory: Memory, firing: bool) -> Iterator[int]:
        yield self.first + 1
        if memory.holds_since and not firing:
            yield self._look_at(memory.holds_since + timedelta(seconds=terms.for_s))
        if memory.quiet_since and firing and terms.resolve_after_s:
            yield self._look_at(memory.quiet_since + timedelta(seconds=terms.resolve_after_s))

    def _look_at(self, at: datetime) -> int:
        """The first look at or after that time."""
        return -((self.steps.start - at) // self.steps.width)


def _looks(terms: Terms, changes: Sequence[Change], steps: Steps) -> Iterable[tuple[_Look, Reading]]:
    inside = [change for change in changes if change[0] < steps.count]
    for (look, reading), (after, _) in pairwise([*inside, (steps.count, Reading(None))]):
        yield _Look(steps, look, after), reading
