"""Whom errors hit, and what part of the active users that is."""

from apps.core.distinct import Estimate
from apps.core.wording import share_words
from apps.errors import analytics as errors
from apps.reports.analytics.block import Answer, Block, Column, Figure, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics as telemetry

HIT_HOW = (
    "Distinct keyed hashes of users on stored errors. Up to some 20,000 rows by user and day everybody is counted; "
    "beyond that a fixed sample of all hashes, a sixteenth or less, is counted and multiplied, and the standard error "
    "is said. People without an id, name or address in their errors are not in it."
)
ACTIVE_HOW = (
    "Distinct users heard of in the same range by errors, requests, sessions or tracked events of the project. Users "
    "who make no request that is reported are not known, so the true share is at most this one."
)


def ask(scope: Scope) -> Answer:
    """One row: users hit, active users, their share."""
    hit = errors.hit_users(scope.start, scope.end, scope.keys)
    active = telemetry.active_users(scope.start, scope.end, scope.project_keys)
    share = hit.n / active.n if active.n and hit.n <= active.n else None
    if not hit.n and not active.n:
        return Answer([])
    row = {
        "of": scope.of_words.capitalize() if not scope.of else scope.of_words,
        "users_hit": hit.n,
        "active_users": active.n or None,
        "share": share,
        "within": hit.within or None,
    }
    figures = [
        Figure("users_hit", "Users hit", hit.n, "count", HIT_HOW, _within(hit)),
        Figure("share", "Share of active users", share, "share", ACTIVE_HOW, _of(active, share)),
    ]
    return Answer([row], _sentence(hit, active, share), figures)


def _within(found: Estimate) -> str:
    return "distinct, hashed" if found.exact else f"estimate, ± {share_words(found.within)}"


def _of(active: Estimate, share: float | None) -> str:
    if share is not None:
        return f"of {active.n:,} active{'' if active.exact else ', estimated'}"
    return "no data on active users" if not active.n else f"only {active.n:,} active users are known"


def _sentence(hit: Estimate, active: Estimate, share: float | None) -> str:
    users = "1 user" if hit.n == 1 else f"{'' if hit.exact else 'About '}{hit.n:,} users"
    if share is None:
        return f"{users} hit by errors; how many were active is not known."
    return f"{users} hit by errors, {share_words(share)} of {active.n:,} active."


register(
    Block(
        name="user-impact",
        title="User impact",
        tab="errors",
        columns=(
            Column("of", "Of"),
            Column("users_hit", "Users hit", "count"),
            Column("active_users", "Active users", "count"),
            Column("share", "Share of active users", "share"),
            Column("within", "Standard error of the estimate", "share"),
        ),
        ask=ask,
        how=f"{HIT_HOW} {ACTIVE_HOW} Whole hours; a range that ended in the past is counted to the end of its last "
        "day (UTC).",
        empty=(
            "No users are known",
            "Set a user in the SDK, such as Sentry.setUser({id}), or send sessions; ids are stored as keyed hashes.",
        ),
    )
)
