"""How often the cache had it."""

from collections import defaultdict

from apps.core.wording import share_words
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

SHOWN = 30


def ask(scope: Scope) -> Answer:
    """The lowest rates over the most lookups first."""
    found = analytics.tallies(
        ["cache_performance"], scope.start, scope.end, scope.keys, ("subject", "outcome")
    )
    by_key: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (key, outcome), tally in found.items():
        by_key[key][outcome] += tally.n
    rows = [_row(key, outcomes) for key, outcomes in by_key.items()]
    rows.sort(key=lambda row: (-row["misses"], str(row["key"])))
    hits, all_ = sum(r["hits"] for r in rows), sum(r["lookups"] for r in rows)
    sentence = f"{hits:,} of {all_:,} lookups were hits, {share_words(hits / all_)}." if all_ else ""
    return Answer(rows[:SHOWN], sentence, more=len(rows) > SHOWN)


def _row(key: str, outcomes: dict[str, int]) -> Row:
    lookups, hits = sum(outcomes.values()), outcomes["hit"]
    return {
        "key": key or "not said", "hit_rate": hits / lookups if lookups else None, "hits": hits,
        "misses": lookups - hits, "lookups": lookups,
    }  # fmt: skip


register(
    Block(
        name="cache-hit-rate",
        title="Cache hit rate, 7 d",
        tab="weekly",
        columns=(
            Column("key", "Key", "code"),
            Column("hit_rate", "Hit rate", "rate"),
            Column("hits", "Hits", "count"),
            Column("misses", "Misses", "count"),
            Column("lookups", "Lookups", "count"),
        ),
        ask=ask,
        range="7d",
        how="Tracked cache_performance: hits ÷ lookups, by key. Most misses first. Beyond 200 keys an hour the rest "
        'counts as "(other)".',
        empty=("No lookups are told of", "POST cache_performance with key and hit to /api/analytics/track."),
    )
)
