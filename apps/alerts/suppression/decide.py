"""Which alerts are muted by which of the things that people wrote, at one instant. Pure: continuous evaluation asks
this at every moment, and the engine's stored reasons must be what it answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.alerts.suppression import matchers, occurrences
from apps.alerts.suppression.matchers import Matchers

SILENCE, MAINTENANCE, INHIBITION, MERGE = "silence", "maintenance", "inhibition", "parent"
BY_ALERTS = (INHIBITION, MERGE)

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """A silence, a window or a rule. `source` and `equal` are of rules between alerts."""

    id: int
    kind: str
    targets: Matchers
    window: occurrences.Window
    source: Matchers = ()
    equal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Muted:
    """That an alert is muted by something written: until when if that is known, and by which alert if by one."""

    alert_id: int
    written: Written
    until: datetime | None
    source_id: int | None = None


def muted(written: Iterable[Written], alerts: Mapping[int, Labels], at: datetime) -> list[Muted]:
    """Every reason that is in force at this instant for these open alerts, given as their labels by id.

    The order of `alerts` decides which of several sources is named: the first that fits.
    """
    found: list[Muted] = []
    for one in written:
        span = occurrences.now_in(one.window, at)
        if span is None:
            continue
        if one.kind in BY_ALERTS:
            found += _by_alerts(one, alerts, span.end)
        else:
            found += [
                Muted(pk, one, span.end)
                for pk, labels in alerts.items()
                if matchers.fits(one.targets, labels)
            ]
    return found


def _by_alerts(rule: Written, alerts: Mapping[int, Labels], until: datetime | None) -> list[Muted]:
    """As in Alertmanager: values of the equal labels agree, where a missing label equals an empty one.

    An alert that fits both sides is a source only for those that fit the target alone; so it mutes neither itself
    nor its like, and two cannot mute each other.
    """
    targets = {pk for pk, labels in alerts.items() if matchers.fits(rule.targets, labels)}
    sources = [pk for pk, labels in alerts.items() if matchers.fits(rule.source, labels)]
    if not targets or not sources:
        return []
    by_value: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for pk in sources:
        by_value[_values(rule, alerts[pk])].append(pk)
    both = targets.intersection(sources)
    found = []
    for pk in sorted(targets):
        fit = (
            s
            for s in by_value.get(_values(rule, alerts[pk]), ())
            if s != pk and not (pk in both and s in both)
        )
        if source := next(fit, None):
            found.append(Muted(pk, rule, until, source))
    return found


def _values(rule: Written, labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)
