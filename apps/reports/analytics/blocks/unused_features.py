"""Features that nobody has used lately."""

from datetime import timedelta

from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.blocks.feature_adoption import NAME
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

REMEMBERED = timedelta(days=90)
SHOWN = 50


def ask(scope: Scope) -> Answer:
    """Used in the 90 days before, not in the range; the longest unused first."""
    earlier = analytics.last_uses(NAME, scope.end - REMEMBERED, scope.end, scope.keys)
    rows: list[Row] = [
        {"feature": feature, "last_used": at, "uses": n}
        for feature, (at, n) in earlier.items()
        if at < scope.hours_from
    ]
    rows.sort(key=lambda row: (str(row["last_used"]), str(row["feature"])))
    used = len(earlier) - len(rows)
    sentence = f"{len(rows)} of {used + len(rows)} known features had no user." if earlier else ""
    return Answer(rows[:SHOWN], sentence, more=len(rows) > SHOWN)


register(
    Block(
        name="unused-features",
        title="Unused features, 7 d",
        tab="weekly",
        columns=(
            Column("feature", "Feature", "code"),
            Column("last_used", "Last used", "time"),
            Column("uses", "Uses in 90 days", "count"),
        ),
        ask=ask,
        range="7d",
        how="Features heard of in the last 90 days through feature_used, without one in the last 7. A feature that was "
        "never tracked is not known here.",
        empty=("Every known feature is used", "Features are known from feature_used events."),
    )
)
