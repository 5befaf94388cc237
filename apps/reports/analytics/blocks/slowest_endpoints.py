"""The endpoints with the longest waits."""

from apps.core.spans import days_touched
from apps.core.wording import latency_words
from apps.projects.models import Component
from apps.reports.analytics.block import Answer, Block, Column, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

SHOWN = 20
MORE_THAN = 10


def ask(scope: Scope) -> Answer:
    """By the 99th percentile."""
    found = analytics.latencies(*days_touched(scope.start, scope.end), scope.keys, more_than=MORE_THAN)
    found.sort(key=lambda one: -one.p99)
    names = dict(
        Component.objects.filter(pk__in={one.component_id for one in found[:SHOWN]}).values_list("pk", "name")
    )
    rows = [
        {
            "endpoint": one.endpoint, "component": names.get(one.component_id, ""), "p50_ms": one.p50,
            "p95_ms": one.p95, "p99_ms": one.p99, "mean_ms": one.mean, "requests": one.timed,
        }
        for one in found[:SHOWN]
    ]  # fmt: skip
    if not rows:
        return Answer([])
    worst = found[0]
    took = latency_words(worst.p99)
    sentence = f"{worst.endpoint} is the slowest: one request in a hundred takes longer than {took}."
    return Answer(rows, sentence, more=len(found) > SHOWN)


register(
    Block(
        name="slowest-endpoints",
        title="Slowest endpoints, 7 d",
        tab="analyses",
        columns=(
            Column("endpoint", "Endpoint", "code"),
            Column("component", "Component"),
            Column("p50_ms", "p50", "ms"),
            Column("p95_ms", "p95", "ms"),
            Column("p99_ms", "p99", "ms"),
            Column("mean_ms", "Mean", "ms"),
            Column("requests", "Timed requests", "count"),
        ),
        ask=ask,
        range="7d",
        how="Percentiles of merged histograms with buckets 4 % apart, so within 2 % of the exact ones; never averages "
        f"of percentiles. Endpoints with more than {MORE_THAN} timed requests, over whole UTC days, by p99.",
        empty=(
            "No endpoint has more than 10 timed requests",
            "Switch on tracing in the SDK (traces_sample_rate above 0), or track api_response_time.",
        ),
    )
)
