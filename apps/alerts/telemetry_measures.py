"""What telemetry answers rules: shares of failed requests, latencies, and the events that say themselves that all is
lost."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from apps.alerts.rules import Ask, Reading
from apps.telemetry import histogram, queries
from apps.telemetry.known_events import severity_of

Asks = Sequence[Ask]
Answer = list[Mapping[int, Reading]]

# An endpoint with fewer requests than this in the window says nothing by its share.
FEWEST_OF_AN_ENDPOINT = 5
# Evidence enough for every minimum: the application itself says so.
CERTAIN = 10.0**9
# What matchers may name.
ENDPOINT, EVENT, RELEASE, ENVIRONMENT = "endpoint", "event", "release", "environment"


def _since(asks: Asks) -> list[datetime]:
    return [one.since for one in asks]


def _only(asks: Asks, name: str) -> list[str]:
    return [one.only(name) for one in asks]


def error_rate(asks: Asks) -> Answer:
    """Failed requests in percent; components without requests have no reading."""
    return [_percent(found) for found in queries.failures(_since(asks), _only(asks, ENDPOINT))]


def endpoint_failure_rate(asks: Asks) -> Answer:
    """The same of each component's worst endpoint."""
    return [_percent(found) for found in queries.worst_endpoints(_since(asks), FEWEST_OF_AN_ENDPOINT)]


def _percent(found: Mapping[int, queries.Outcomes]) -> dict[int, Reading]:
    return {pk: Reading(outcomes.failed_percent, outcomes.n) for pk, outcomes in found.items()}


def latency(q: float) -> Callable[[Asks], Answer]:
    """A percentile of the durations of a component's requests, in ms, within 2 %."""

    def answer(asks: Asks) -> Answer:
        return [
            {
                pk: Reading(histogram.percentile(buckets, q), sum(buckets.values()))
                for pk, buckets in found.items()
            }
            for found in queries.durations(_since(asks), _only(asks, ENDPOINT))
        ]

    return answer


def certain(names: Sequence[str], value: float) -> Callable[[Asks], Answer]:
    """`value` for each component in which one of these events was tracked, on evidence enough for any minimum."""

    def answer(asks: Asks) -> Answer:
        return [
            {component: Reading(value, CERTAIN) for _, component in found}
            for found in queries.tracked(_since(asks), names)
        ]

    return answer


def times(names: Sequence[str], weight: int = 1, per: str = "component") -> Callable[[Asks], Answer]:
    """How often these events were tracked, each counted as `weight`, by component or by project."""

    def answer(asks: Asks) -> Answer:
        found: list[dict[int, float]] = []
        for counts in queries.tracked(_since(asks), names):
            totals: dict[int, float] = defaultdict(float)
            for (project, component), by_name in counts.items():
                totals[project if per == "project" else component] += weight * sum(by_name.values())
            found.append(totals)
        return [{pk: Reading(n, n) for pk, n in totals.items()} for totals in found]

    return answer


def tracked_events(asks: Asks) -> Answer:
    """How often the event that the matcher names was tracked: by the minute if it means a failure, else by the hour."""
    names, since = _only(asks, EVENT), _since(asks)
    minutes = queries.tracked(since, sorted(set(names)))
    hours = queries.tracked_hours(since, names)
    found: list[Mapping[int, Reading]] = []
    for name, by_minute, by_hour in zip(names, minutes, hours, strict=True):
        totals: Counter[int] = Counter()
        for (_, component), counts in by_minute.items():
            totals[component] += counts.get(name, 0)
        counted = totals if severity_of(name) else by_hour
        found.append({pk: Reading(float(n), n) for pk, n in counted.items() if n})
    return found


def crash_free_rate(asks: Asks) -> Answer:
    """Sessions without a crash in percent, by project and whole hours; its volume is the number of sessions."""
    answers = queries.crash_free(_since(asks), _only(asks, RELEASE), _only(asks, ENVIRONMENT))
    return [{pk: Reading(100 - one.failed_percent, one.n) for pk, one in found.items()} for found in answers]
