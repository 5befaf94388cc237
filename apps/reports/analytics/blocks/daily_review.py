"""What is worth a look every day: failures that page nobody."""

from collections import defaultdict

from django.db.models import Q

from apps.core.distinct import Estimate
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics

SHOWN = 30
NOBODY = Estimate(0)
TIMEOUT = Q(reason__icontains="timeout") | Q(reason__icontains="timed out")


def ai_timeouts(scope: Scope) -> Answer:
    """Timeouts of AI features by provider, and how often the fallback took over."""
    by = ("subject", "provider", "outcome")
    found = analytics.tallies(["ai_failure"], scope.start, scope.end, scope.keys, by, TIMEOUT)
    pairs: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (feature, provider, outcome), tally in found.items():
        pairs[feature, provider][outcome] += tally.n
    rows: list[Row] = []
    for (feature, provider), outcomes in pairs.items():
        n, fallback = sum(outcomes.values()), outcomes["fallback"]
        rows.append(
            {
                "feature": feature,
                "provider": provider,
                "timeouts": n,
                "fallback": fallback,
                "share": fallback / n,
            }
        )
    rows.sort(key=lambda row: (-row["timeouts"], row["feature"]))
    total = sum(row["timeouts"] for row in rows)
    return Answer(rows[:SHOWN], f"{total:,} timeouts." if rows else "", more=len(rows) > SHOWN)


def _by(name: str, column: str, dimension: str, scope: Scope) -> Answer:
    """Events of one name by one of their dimensions, with the users they came to."""
    found = analytics.tallies([name], scope.start, scope.end, scope.keys, (dimension,))
    ordered = sorted(found.items(), key=lambda item: (-item[1].n, item[0]))
    rows = [{column: word or "not said", "count": tally.n} for (word,), tally in ordered]
    total = sum(tally.n for tally in found.values())
    users = analytics.deed_users([name], scope.start, scope.end, scope.keys, ("name",)).get((name,), NOBODY).n
    told = f", {users:,} user{'s' if users != 1 else ''}" if users else ""
    return Answer(rows[:SHOWN], f"{total:,} in all{told}." if rows else "", more=len(rows) > SHOWN)


def session_failures(scope: Scope) -> Answer:
    """By reason."""
    return _by("session_stabilization_failure", "reason", "reason", scope)


def rate_limited(scope: Scope) -> Answer:
    """By hashed address."""
    answer = _by("beta_register_rate_limited", "address", "subject", scope)
    for row in answer.rows:
        row["address"] = row["address"][:16]
    return answer


def email_failures(scope: Scope) -> Answer:
    """By message."""
    return _by("formspree_failure", "message", "reason", scope)


def data_consistency(scope: Scope) -> Answer:
    """By component."""
    return _by("data_consistency_error", "component", "component__name", scope)


_COUNT = Column("count", "Count", "count")
_SEND = "POST {0} to /api/analytics/track."
register(
    Block(
        "ai-timeouts", "AI timeouts by feature and provider, 24 h", "daily",
        (
            Column("feature", "Feature", "code"), Column("provider", "Provider", "code"),
            Column("timeouts", "Timeouts", "count"), Column("fallback", "Fallback used", "count"),
            Column("share", "Fallback share", "rate"),
        ),
        ai_timeouts,
        "Tracked ai_failure whose reason speaks of a timeout. The share says how often a fallback stood in.",
        ("No AI timeouts", _SEND.format("ai_failure with feature, ai_provider, reason and fallback_used")), "24h",
    )
)  # fmt: skip
for _name, _title, _column, _ask, _event, _how in (
    ("session-failures", "Session failures, 24 h", Column("reason", "Reason"), session_failures,
     "session_stabilization_failure with attempts and reason", "Tracked session_stabilization_failure by reason."),
    ("rate-limited", "Rate-limited addresses, 24 h", Column("address", "Address, hashed", "code"), rate_limited,
     "beta_register_rate_limited with ip", "Tracked beta_register_rate_limited by the keyed hash of its address: the "
     "address itself is not stored."),
    ("email-failures", "E-mail failures, 24 h", Column("message", "Message"), email_failures,
     "formspree_failure with message", "Tracked formspree_failure by message."),
    ("data-consistency", "Data consistency errors, 24 h", Column("component", "Component"), data_consistency,
     "data_consistency_error with expected and actual", "Tracked data_consistency_error by component."),
):  # fmt: skip
    register(
        Block(
            _name, _title, "daily", (_column, _COUNT), _ask,
            f"{_how} Counters by the hour; users are distinct keyed hashes.",
            ("Nothing to review", _SEND.format(_event)), "24h",
        )
    )  # fmt: skip
