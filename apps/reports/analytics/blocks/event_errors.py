"""Tracked errors by name and severity."""

from apps.core.distinct import Estimate
from apps.core.wording import figure_words
from apps.reports.analytics.block import Answer, Block, Column, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

SHOWN = 50
NOBODY = Estimate(0)


def ask(scope: Scope) -> Answer:
    """Most first."""
    names = analytics.error_names(scope.start, scope.end, scope.keys)
    by = ("name", "severity")
    found = analytics.tallies(names, scope.start, scope.end, scope.keys, by)
    users = analytics.deed_users(names, scope.start, scope.end, scope.keys, by)
    rows = [
        {
            "event": name, "severity": severity, "count": tally.n, "users": users.get((name, severity), NOBODY).n,
            "mean_ms": tally.mean_ms,
        }
        for (name, severity), tally in sorted(found.items(), key=lambda item: (-item[1].n, item[0]))
    ]  # fmt: skip
    total = figure_words(sum(tally.n for tally in found.values()))
    return Answer(
        rows[:SHOWN], f"{total} tracked errors of {len(names)} kinds." if rows else "", more=len(rows) > SHOWN
    )


register(
    Block(
        name="event-errors",
        title="Tracked errors by event and severity, 24 h",
        tab="analyses",
        columns=(
            Column("event", "Event", "code"),
            Column("severity", "Severity", "badge"),
            Column("count", "Count", "count"),
            Column("users", "Users", "count"),
            Column("mean_ms", "Mean duration", "ms"),
        ),
        ask=ask,
        range="24h",
        how="Tracked events whose name holds the word error. Users are distinct keyed hashes, beyond some 20,000 "
        "estimated from a sample. The mean is over those events that had a duration (duration_ms); a dash "
        "means that none had.",
        empty=(
            "No tracked errors",
            "POST an event whose name holds the word error, such as client_error, to /api/analytics/track.",
        ),
    )
)
