"""Endpoints with requests of more than a second."""

from apps.core.spans import days_touched
from apps.projects.models import Component
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

SHOWN = 30
LIMIT_MS = 1000.0


def ask(scope: Scope) -> Answer:
    """Most slow requests first."""
    found = analytics.latencies(*days_touched(scope.start, scope.end), scope.keys, limit_ms=LIMIT_MS)
    slow = sorted((one for one in found if one.over), key=lambda one: -one.over)
    told = analytics.tallies(["slow_endpoint"], scope.start, scope.end, scope.keys, ("subject",))
    names = dict(
        Component.objects.filter(pk__in={one.component_id for one in slow[:SHOWN]}).values_list("pk", "name")
    )
    rows: list[Row] = [
        {
            "endpoint": one.endpoint, "component": names.get(one.component_id, ""), "slow": one.over,
            "share": one.over / one.timed, "requests": one.timed, "p95_ms": one.p95,
            "told": told[one.endpoint,].n if (one.endpoint,) in told else 0,
        }
        for one in slow
    ]  # fmt: skip
    known = {one.endpoint for one in slow}
    rows += [_only_told(name, tally.n) for (name,), tally in told.items() if name not in known]
    total = sum(one.over for one in slow)
    sentence = f"{total:,} requests took longer than a second, at {len(rows)} endpoints." if rows else ""
    return Answer(rows[:SHOWN], sentence, more=len(rows) > SHOWN)


def _only_told(endpoint: str, n: int) -> Row:
    """An endpoint that is known from its own report alone: of how many requests is not known."""
    return {
        "endpoint": endpoint, "component": "", "slow": None, "share": None, "requests": None, "p95_ms": None, "told": n,
    }  # fmt: skip


register(
    Block(
        name="slow-endpoints",
        title="Slow endpoints (over 1 s), 7 d",
        tab="weekly",
        columns=(
            Column("endpoint", "Endpoint", "code"),
            Column("component", "Component"),
            Column("slow", "Over 1 s", "count"),
            Column("share", "Share", "rate"),
            Column("requests", "Timed requests", "count"),
            Column("p95_ms", "p95", "ms"),
            Column("told", "slow_endpoint events", "count"),
        ),
        ask=ask,
        range="7d",
        how="Timed requests in histogram buckets above a second (exact but for those within 2 % of it), over whole UTC "
        "days. Beside them tracked slow_endpoint events of the same name, which applications send by their own rule.",
        empty=(
            "Nothing took longer than a second",
            "Needs tracing in the SDK, api_response_time or slow_endpoint.",
        ),
    )
)
