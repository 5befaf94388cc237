"""What the story's people do when nothing fails: requests, features, trials, caches, and who was there."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from apps.projects.models import Component, Project
from apps.telemetry import count_requests, count_tracked, count_users
from apps.telemetry.count_requests import Key, Tally
from apps.telemetry.known_events import severity_of
from apps.telemetry.reported import Tracked
from reliability_portal.demo import story
from reliability_portal.demo.cast import NOW_FAILING

DAYS = 30
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DRAWS = 12
# Endpoint, component, requests in a busy hour, typical milliseconds, share that fails.
ENDPOINTS = (
    ("GET /api/journal/entries", "Journal", 420, 38, 0.0004),
    ("POST /api/journal/entries", "Journal", 140, 64, 0.0031),
    ("GET /api/journal/search", "Journal", 75, 310, 0.0120),
    ("POST /api/journal/export", "Journal", 4, 2400, 0.0200),
    ("POST /api/auth/login", "Authentication", 60, 190, 0.0052),
    ("POST /api/auth/refresh", "Authentication", 260, 22, 0.0018),
    ("GET /api/profile", "User Profile", 180, 31, 0.0011),
    ("PUT /api/profile/avatar", "User Profile", 12, 620, 0.0094),
    ("GET /api/feed", "API Services", 310, 85, 0.0006),
    ("GET /api/weather", "API Services", 90, 240, 0.0085),
    ("POST /api/ai/prompt", "API Services", 34, 1150, 0.0150),
    ("POST /api/sync", "API Services", 120, 105, 0.0024),
    ("POST /api/payments/checkout", "Payments", 26, 410, 0.0038),
)  # fmt: skip
FEATURES = (
    ("voice-note", 11, 0), ("mood-chart", 9, 0), ("export", 4, 0), ("calendar-sync", 7, 0), ("ai-summary", 8, 0),
    ("templates", 5, 0), ("photo-book", 1, 9), ("legacy-widget", 1, 16),
)  # fmt: skip


def write(
    *,
    project: Project,
    components: dict[str, Component],
    hits: Iterable[tuple[datetime, bytes]],
    now: datetime,
    seed: int,
) -> None:
    """The last 30 days. `hits` are the users of the story's errors: they were active, too."""
    dice = random.Random(seed + 1)  # noqa: S311  a story, no secret
    ids = {name: component.pk for name, component in components.items()}
    older, latest = _requests(project.pk, ids, now, dice)
    count_requests.add(older, (count_requests.HOURS, count_requests.DAYS))
    count_requests.add(latest)
    count_tracked.add([(event, ids[event.component_name]) for event in _tracked(project.pk, now, dice)])
    since = now - timedelta(days=DAYS)
    presences = [(at, who) for at, who in hits if at >= since]
    count_users.add_active((project.pk, at, who) for at, who in [*presences, *_present(now, dice)])


def user_of(number: int) -> bytes:
    """The hash by which a person of the story is counted."""
    return hashlib.sha256(f"demo:{number}".encode()).digest()


# --- Requests -----------------------------------------------------------------------------------------------------
def _requests(
    project_id: int, ids: dict[str, int], now: datetime, dice: random.Random
) -> tuple[dict[Key, Tally], dict[Key, Tally]]:
    """By the hour, and of the last two hours by the minute."""
    turn = now.replace(minute=0, second=0, microsecond=0) - HOUR
    older: dict[Key, Tally] = {}
    latest: dict[Key, Tally] = {}
    for endpoint, component, busy, typical_ms, failing in ENDPOINTS:
        at = turn - timedelta(days=DAYS)
        while at < turn:
            key = Key(at, project_id, ids[component], "request", endpoint, "unknown")
            older[key] = _tally(busy * story.weight(at), typical_ms, failing, dice)
            at += HOUR
        while at < now:
            key = Key(at, project_id, ids[component], "request", endpoint, "unknown")
            broken = endpoint == NOW_FAILING.route and at >= now - story.OPEN_FOR
            many, rate = (24, 0.82) if broken else (busy * story.weight(at) / 60, failing)
            latest[key] = _tally(many, typical_ms, rate, dice)
            at += MINUTE
    return older, latest


def _tally(expected: float, typical_ms: float, failing: float, dice: random.Random) -> Tally:
    """Some requests around the expected number; a dozen durations stand for all of them."""
    n = int(expected * dice.uniform(0.85, 1.15) + dice.random())
    found = Tally()
    for place in range(min(n, DRAWS)):
        one = Tally()
        one.count(False, typical_ms * dice.lognormvariate(0, 0.55))
        times = n // DRAWS + (place < n % DRAWS) if n > DRAWS else 1
        found.add(_times(one, times))
    found.failed = sum(dice.random() < failing for _ in range(n))
    return found


def _times(one: Tally, times: int) -> Tally:
    """The same request so many times."""
    buckets = {bucket: n * times for bucket, n in one.durations.items()}
    return Tally(
        one.n * times, 0, one.timed * times, one.duration_sum_ms * times, one.duration_max_ms, buckets
    )


# --- Tracked events -----------------------------------------------------------------------------------------------
def _tracked(project_id: int, now: datetime, dice: random.Random) -> Iterator[Tracked]:
    kinds = (*_features(dice), *_trials(dice), *_troubles(dice), *_lookups(dice))
    for number, (age_days, name, component, facts) in enumerate(kinds):
        at = now - timedelta(days=age_days)
        yield Tracked(
            event_id=f"{number:032x}", project_id=project_id, name=name, occurred_at=at, received_at=at,
            time_is_usable=True, component_name=component, severity=severity_of(name),
            user_hash=user_of(int(dice.triangular(0, story.USERS, 0))), **facts,
        )  # fmt: skip


Kind = tuple[float, str, str, dict[str, Any]]  # age in days, name, component, facts


def _features(dice: random.Random) -> Iterator[Kind]:
    for feature, daily, unused_days in FEATURES:
        for _ in range(daily * (DAYS - unused_days) * 2):
            facts = {"subject": feature, "duration_ms": 1000 * dice.lognormvariate(2.5, 0.7)}
            yield dice.uniform(unused_days, DAYS), "feature_used", "Frontend UI", dict(facts)


def _trials(dice: random.Random) -> Iterator[Kind]:
    for kind, n, converting in (("monthly", 84, 0.31), ("yearly", 37, 0.46), ("family", 18, 0.22)):
        for _ in range(n):
            outcome = "converted" if dice.random() < converting else "expired"
            facts: dict[str, Any] = {"subject": kind, "outcome": outcome}
            yield dice.uniform(0, DAYS), "trial_conversion", "Payments", facts


def _troubles(dice: random.Random) -> Iterator[Kind]:
    """Failures that page nobody: two weeks of them."""
    for name, component, n, choices in (
        ("ai_failure", "API Services", 90, (
            {"subject": "ai-summary", "provider": "north", "reason": "timeout", "outcome": "fallback"},
            {"subject": "ai-summary", "provider": "north", "reason": "timeout", "outcome": "none"},
            {"subject": "mood-chart", "provider": "south", "reason": "timeout", "outcome": "fallback"},
            {"subject": "ai-summary", "provider": "south", "reason": "refused", "outcome": "none"})),
        ("session_stabilization_failure", "Authentication", 44, ({"reason": "cookie lost"}, {"reason": "clock skew"})),
        ("beta_register_rate_limited", "Authentication", 60, tuple(
            {"subject": hashlib.sha256(f"address:{i}".encode()).hexdigest()[:32]} for i in (1, 1, 1, 2, 3))),
        ("formspree_failure", "Frontend UI", 26, ({"reason": "form answered 502"}, {"reason": "no answer in 10 s"})),
        ("data_consistency_error", "Journal", 18, ({},)),
        ("client_error", "Frontend UI", 120, ({"reason": "ResizeObserver loop"}, {"reason": "Failed to fetch"})),
        ("slow_endpoint", "Journal", 40, ({"subject": "POST /api/journal/export", "duration_ms": 2600.0},)),
    ):  # fmt: skip
        for _ in range(n):
            yield dice.uniform(0, 14) * dice.random(), name, component, dict(dice.choice(choices))


def _lookups(dice: random.Random) -> Iterator[Kind]:
    for key, n, hits in (("profile", 420, 0.94), ("feed", 380, 0.81), ("weather", 160, 0.52)):
        for _ in range(n):
            facts: dict[str, Any] = {"subject": key, "outcome": "hit" if dice.random() < hits else "miss"}
            yield dice.uniform(0, 7), "cache_performance", "API Services", facts


# --- People -------------------------------------------------------------------------------------------------------
def _present(now: datetime, dice: random.Random) -> Iterator[tuple[datetime, bytes]]:
    """Some 900 people a day, the same ones more often than others."""
    for day in range(DAYS):
        for _ in range(900):
            at = now - timedelta(days=day) - timedelta(seconds=dice.uniform(0, 86_000))
            yield at, user_of(int(dice.triangular(0, story.USERS, 0)))
