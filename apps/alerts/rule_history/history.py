"""What a rule, saved or only tried, would have done in the last days, from the stored rollups: at most five statements.

Minutes are read back to a limit of rows, hours before that: the cost does not grow with the traffic behind them.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.alerts import measures
from apps.alerts.measures import PORTAL, Measure
from apps.alerts.models import AlertRule
from apps.alerts.rule_history import sources, windows
from apps.alerts.rule_history.replay import Change, Episode, Steps, replay
from apps.alerts.rule_history.sources import Row, Source, Wanted
from apps.alerts.rule_history.windows import Sums
from apps.alerts.rules import Terms
from apps.alerts.telemetry_measures import EVENT
from apps.projects.models import Component, Project
from apps.telemetry.known_events import severity_of

DAYS = 30
COLUMNS = 120
MOST_ROWS = 30_000
MOST_SUBJECTS = 500
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Part:
    """A stretch that was replayed in steps of one width: the looks, and each subject's changes."""

    steps: Steps
    changes: Mapping[int, Sequence[Change]]


@dataclass
class History:
    """`names` of subjects by id. `minutes_from`: since when it is by the minute, before it by the hour; None: by the
    hour all along. `unknown` says why nothing could be replayed."""

    start: datetime
    end: datetime
    minutes_from: datetime | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    unknown: str = ""
    cut: bool = False


@dataclass(frozen=True)
class _Subjects:
    """Whom the rule is asked of, and which of them it names, so that they are judged without any data."""

    names: Mapping[int, str]
    named: frozenset[int]


def history(rule: AlertRule, terms: Terms, *, now: datetime, days: int = DAYS) -> History:
    """The last `days` up to the last whole minute, judged as by `terms`; `rule` may be unsaved."""
    measure = measures.registry[terms.condition.measure]
    source = sources.source_of(measure.name)
    end = now.replace(second=0, microsecond=0)
    start = (end - timedelta(days=days)).replace(minute=0)
    if source is None:
        return History(
            start, end, unknown="Of this measure only the present is kept: there is nothing to replay."
        )
    subjects = _subjects(rule, measure)
    made = History(start, end, None, subjects.names, cut=len(subjects.names) >= MOST_SUBJECTS)
    _Replayer(rule, terms, measure, source, subjects, made).run()
    made.episodes.sort(key=lambda episode: episode.fired_at, reverse=True)
    return made


def _subjects(rule: AlertRule, measure: Measure) -> _Subjects:
    if measure.per == PORTAL:
        return _Subjects({0: "the portal"}, frozenset({0}))
    if measure.per == "project":
        found = Project.objects.filter(**({"pk": rule.project_id} if rule.project_id else {}))
        names = {p.pk: p.name for p in found[:MOST_SUBJECTS]}
        return _Subjects(names, frozenset(pk for pk in names if pk == rule.project_id))
    only = {"pk": rule.component_id, "project": rule.project_id, "name": rule.component_name}
    parts = Component.objects.filter(**{k: v for k, v in only.items() if v}).select_related("project")
    names = {c.pk: f"{c.project} · {c.name}" for c in parts[:MOST_SUBJECTS]}
    return _Subjects(names, frozenset(pk for pk in names if pk == rule.component_id))


@dataclass
class _Replayer:
    """One rule over one range; fills `made`."""

    rule: AlertRule
    terms: Terms
    measure: Measure
    source: Source
    subjects: _Subjects
    made: History

    def run(self) -> None:
        """Minutes as far back as they go, then hours before them."""
        made, by_hour = self.made, self.source.minutes is None or self._is_hourly_event()
        covered = made.end.replace(minute=0) if by_hour else self._minutes()
        made.minutes_from = None if by_hour else covered
        if self.source.hours is None or covered <= made.start:
            return
        width = max(1, math.ceil(self.rule.window_s / 3600))
        rows = self._rows(sources.HOUR, made.start - width * HOUR, covered)[0]
        last_too = made.minutes_from is None  # else the first minute is judged at that moment
        self._judge(rows, Steps(made.start, HOUR, (covered - made.start) // HOUR + last_too), width)

    def _is_hourly_event(self) -> bool:
        name = self.rule.matchers.get(EVENT)
        return bool(name) and not severity_of(name)

    def _minutes(self) -> datetime:
        """Replay by the minute; returns since when that was possible."""
        made, width = self.made, math.ceil(self.rule.window_s / 60)
        rows, known_from = self._rows(sources.MINUTE, made.start - width * MINUTE, made.end)
        kept_from = made.end - timedelta(days=self.source.keep_days())
        known_from = max(known_from, kept_from)
        covered = made.start
        if known_from > made.start - width * MINUTE:
            covered = min(_next_hour(known_from + width * MINUTE), made.end)
        rows = [row for row in rows if row.at >= covered - width * MINUTE]
        self._judge(rows, Steps(covered, MINUTE, (made.end - covered) // MINUTE + 1), width)
        return covered

    def _rows(self, column: str, start: datetime, end: datetime) -> tuple[list[Row], datetime]:
        """Rows of one width with what applications told, and since when they are complete."""
        select = self.source.minutes if column == sources.MINUTE else self.source.hours
        severities = sources.severities_of(self.measure, self.rule.record_severity)
        ids = list(self.subjects.names)
        wanted = Wanted(start, end, ids, severities, self.rule.matchers, MOST_ROWS)
        selects = [select] if select else []
        if self.source.told:
            selects.append(sources.tracked(column, self.source.told, self.measure.per))
        found = [sources.fetch(one(wanted), wanted) for one in selects]
        known = [min(row.at for row in one.rows) + MINUTE for one in found if one.cut]
        return [row for one in found for row in one.rows], max([start, *known])

    def _judge(self, rows: list[Row], steps: Steps, width: int) -> None:
        buckets: dict[int, dict[int, Sums]] = defaultdict(dict)
        for row in rows:
            index = (row.at - steps.start) // steps.width
            sums = buckets[row.subject].setdefault(index, Sums())
            sums.n[row.key] += row.n
            if row.failed:
                sums.failed[row.key] += row.failed
        read = self.source.read(self._window_minutes(steps, width))
        changes = {}
        for subject in {*buckets, *self.subjects.named}:
            first = 0 if subject in self.subjects.named else None
            changes[subject] = windows.changes(buckets.get(subject, {}), width, read, first)
            self.made.episodes += replay(self.terms, subject, changes[subject], steps)
        self.made.parts.append(Part(steps, changes))

    def _window_minutes(self, steps: Steps, width: int) -> float:
        """What a figure per minute is divided by: as the live measure, the rule's own window where it can be seen."""
        return self.rule.window_s / 60 if steps.width == MINUTE else width * 60


def _next_hour(at: datetime) -> datetime:
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + HOUR


# --- The chart ----------------------------------------------------------------------------------------------
def columns(made: History, *, low: bool, count: int = COLUMNS) -> list[float | None]:
    """The value furthest towards the threshold in each of `count` equal stretches, over all subjects; None: no data.

    `low`: the rule asks for less, so the lowest counts.
    """
    width = (made.end - made.start) / count
    found: list[float | None] = [None] * count
    better = min if low else max
    for part in made.parts:
        for changes in part.changes.values():
            edges = [look for look, _ in changes[1:]] + [part.steps.count]
            for (look, reading), after in zip(changes, edges, strict=True):
                if reading.value is None or look >= part.steps.count:
                    continue
                first = (part.steps.at(look) - made.start) // width
                last = (part.steps.at(min(after, part.steps.count) - 1) - made.start) // width
                for column in range(max(first, 0), min(last, count - 1) + 1):
                    known = found[column]
                    found[column] = reading.value if known is None else better(known, reading.value)
    return found
