"""What telemetry answers rules: shares of failed requests, latencies, and the events that say themselves that all is
lost."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from apps.alerts.rules import Reading
from apps.telemetry import histogram, queries

Windows = Sequence[datetime]
Answer = list[Mapping[int, Reading]]

# An endpoint with fewer requests than this in the window says nothing by its share.
FEWEST_OF_AN_ENDPOINT = 5
# Evidence enough for every minimum: the application itself says so.
_CERTAIN = 10.0**9


def error_rate(since: Windows) -> Answer:
    """Failed requests in percent; components without requests have no reading."""
    return [_percent(found) for found in queries.failures(since)]


def endpoint_failure_rate(since: Windows) -> Answer:
    """The same of each component's worst endpoint."""
    return [_percent(found) for found in queries.worst_endpoints(since, FEWEST_OF_AN_ENDPOINT)]


def _percent(found: Mapping[int, queries.Outcomes]) -> dict[int, Reading]:
    return {pk: Reading(outcomes.failed_percent, outcomes.n) for pk, outcomes in found.items()}


def latency(q: float) -> Callable[[Windows], Answer]:
    """A percentile of the durations of a component's requests, in ms, within 2 %."""

    def answer(since: Windows) -> Answer:
        return [
            {
                pk: Reading(histogram.percentile(buckets, q), sum(buckets.values()))
                for pk, buckets in found.items()
            }
            for found in queries.durations(since)
        ]

    return answer


def certain(names: Sequence[str], value: float) -> Callable[[Windows], Answer]:
    """`value` for each component in which one of these events was tracked, on evidence enough for any minimum."""

    def answer(since: Windows) -> Answer:
        return [
            {component: Reading(value, _CERTAIN) for _, component in found}
            for found in queries.tracked(since, names)
        ]

    return answer


def times(names: Sequence[str], weight: int = 1, per: str = "component") -> Callable[[Windows], Answer]:
    """How often these events were tracked, each counted as `weight`, by component or by project."""

    def answer(since: Windows) -> Answer:
        found: list[dict[int, float]] = []
        for counts in queries.tracked(since, names):
            totals: dict[int, float] = defaultdict(float)
            for (project, component), by_name in counts.items():
                totals[project if per == "project" else component] += weight * sum(by_name.values())
            found.append(totals)
        return [{pk: Reading(n, n) for pk, n in totals.items()} for totals in found]

    return answer
