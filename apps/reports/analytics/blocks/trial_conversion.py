"""How trials end, by their type."""

from collections import defaultdict

from apps.core.wording import share_words
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics


def ask(scope: Scope) -> Answer:
    """Each type with the shares of its outcomes."""
    found = analytics.tallies(
        ["trial_conversion"], scope.start, scope.end, scope.keys, ("subject", "outcome")
    )
    by_type: dict[str, dict[str, int]] = defaultdict(dict)
    for (kind, outcome), tally in found.items():
        by_type[kind][outcome] = tally.n
    rows = [_row(kind, by_type[kind]) for kind in sorted(by_type)]
    ended = sum(row["ended"] for row in rows)
    converted = sum(row["converted"] for row in rows)
    sentence = (
        f"{converted:,} of {ended:,} trials converted, {share_words(converted / ended)}." if ended else ""
    )
    return Answer(rows, sentence)


def _row(kind: str, outcomes: dict[str, int]) -> Row:
    ended, converted = sum(outcomes.values()), outcomes.get("converted", 0)
    return {
        "trial_type": kind,
        "ended": ended,
        "converted": converted,
        "expired": ended - converted,
        "conversion": converted / ended if ended else None,
    }


register(
    Block(
        name="trial-conversion",
        title="Trial conversion, 30 d",
        tab="analyses",
        columns=(
            Column("trial_type", "Trial", "code"),
            Column("conversion", "Conversion", "rate"),
            Column("converted", "Converted", "count"),
            Column("expired", "Expired", "count"),
            Column("ended", "Ended", "count"),
        ),
        ask=ask,
        range="30d",
        how="Tracked trial_conversion by its trial_type: converted ÷ all that ended, one event a trial.",
        empty=(
            "No trial ended, or none tells",
            "POST trial_conversion with trial_type and converted, one a trial, to /api/analytics/track.",
        ),
    )
)
