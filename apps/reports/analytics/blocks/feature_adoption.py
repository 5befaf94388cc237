"""Which features are used, by how many."""

from apps.core.distinct import Estimate
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

NAME = "feature_used"
SHOWN = 50
NOBODY = Estimate(0)


def ask(scope: Scope) -> Answer:
    """Most users first."""
    found = analytics.tallies([NAME], scope.start, scope.end, scope.keys, ("subject",))
    users = analytics.deed_users([NAME], scope.start, scope.end, scope.keys, ("subject",))
    rows: list[Row] = [
        {
            "feature": feature,
            "uses": tally.n,
            "users": users.get((feature,), NOBODY).n,
            "mean_ms": tally.mean_ms,
        }
        for (feature,), tally in found.items()
    ]
    rows.sort(key=lambda row: (row["users"], row["uses"]), reverse=True)
    if not rows:
        return Answer([])
    lead = rows[0]
    sentence = (
        f"{len(rows)} feature{'s' if len(rows) != 1 else ''} used; {lead['feature']} by the most users."
    )
    return Answer(rows[:SHOWN], sentence, more=len(rows) > SHOWN)


register(
    Block(
        name="feature-adoption",
        title="Feature adoption, 7 d",
        tab="analyses",
        columns=(
            Column("feature", "Feature", "code"),
            Column("users", "Users", "count"),
            Column("uses", "Uses", "count"),
            Column("mean_ms", "Mean duration", "ms"),
        ),
        ask=ask,
        range="7d",
        how="Tracked feature_used by its feature. Users are distinct keyed hashes, beyond some 20,000 estimated from a "
        "sample of them; the mean is over uses that had a duration (duration_seconds).",
        empty=(
            "No feature was used, or none tells",
            "POST feature_used with feature and duration_seconds to /api/analytics/track.",
        ),
    )
)
