"""Whose payload is kept while errors come in a flood. Arithmetic alone: minutes are whole minutes since 1970.

Every event is still stored, grouped and counted; only its payload, nine tenths of its bytes, is left out. Beyond what
is usual for its project, or for one group, the first events of each group and one in so many of the rest keep theirs.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

MINUTES_HELD = 3
MOST_GROUPS = 5_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Events a minute: `factor` times the usual and at least `floor` for a project, `group` for one group. Beyond
    that the first `keep_first` of each group in that minute keep their payload, and then one in `keep_one_in`.
    """

    factor: int
    floor: int
    group: int
    keep_first: int
    keep_one_in: int


class Arrival(NamedTuple):
    """One event as it came."""

    project_id: int
    fingerprint: str
    minute: int
    event_id: str


@dataclass(slots=True)
class Minute:
    """What has come in a minute, by project and by group; `others` are groups that are counted elsewhere."""

    projects: Counter[int] = field(default_factory=Counter)
    groups: Counter[tuple[int, str]] = field(default_factory=Counter)
    others: int = 0

    def add(self, one: Arrival) -> None:
        """One more."""
        self.projects[one.project_id] += 1
        self.groups[one.project_id, one.fingerprint] += 1

    def has_room(self) -> bool:
        """Whether a new group is remembered: a flood of groups must not fill the memory, nor the disk."""
        return self.others + len(self.groups) < MOST_GROUPS


class Flood:
    """Counts of the last minutes, shared by the threads of a process. What was rolled back was never counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[int, Minute] = {}

    def judge(
        self, arrivals: Sequence[Arrival], rules: Rules, usual: Callable[[int, int], float], key: bytes
    ) -> list[bool]:
        """Whether each keeps its payload. `usual(project, minute)`: events a minute, asked beyond the floor only."""
        with self._lock:
            seen = {number: self._known(number, arrivals) for number in {a.minute for a in arrivals}}
        limits: dict[int, float] = {}
        kept = []
        for one in arrivals:
            minute, project = seen[one.minute], one.project_id
            if project not in limits and minute.projects[project] >= rules.floor:
                limits[project] = max(rules.floor, rules.factor * usual(project, one.minute))
            kept.append(_is_kept(one, minute, limits.get(project, rules.floor), rules, key))
            minute.add(one)
        return kept

    def _known(self, number: int, arrivals: Sequence[Arrival]) -> Minute:
        """A copy of what is counted of those that the arrivals are about."""
        held = self._minutes.get(number, Minute())
        named = {(a.project_id, a.fingerprint) for a in arrivals} & held.groups.keys()
        groups = Counter({group: held.groups[group] for group in named})
        return Minute(Counter(held.projects), groups, len(held.groups) - len(groups))

    def count(self, arrivals: Iterable[Arrival]) -> None:
        """Once they are stored for good."""
        with self._lock:
            for one in arrivals:
                minute = self._minutes.setdefault(one.minute, Minute())
                if minute.has_room() or (one.project_id, one.fingerprint) in minute.groups:
                    minute.add(one)
                else:
                    minute.projects[one.project_id] += 1
            for old in sorted(self._minutes)[:-MINUTES_HELD]:
                del self._minutes[old]


def _is_kept(one: Arrival, minute: Minute, limit: float, rules: Rules, key: bytes) -> bool:
    in_group = minute.groups.get((one.project_id, one.fingerprint), 0)
    if in_group < rules.group and minute.projects[one.project_id] < limit:
        return True
    if in_group < rules.keep_first and (in_group or minute.has_room()):
        return True
    return is_chosen(one.event_id, rules.keep_one_in, key)


def is_chosen(event_id: str, one_in: int, key: bytes) -> bool:
    """The same answer for the same event, in every process; a sender who does not know the key cannot choose it."""
    digest = hashlib.blake2b(event_id.encode("utf-8", "replace"), digest_size=8, key=key[:64]).digest()
    return int.from_bytes(digest) % one_in == 0


def usual_per_minute(same_hours: Sequence[int]) -> float:
    """From the events of this hour of the day on some days before: the median, as events a minute."""
    return median(same_hours) / 60 if same_hours else 0.0
