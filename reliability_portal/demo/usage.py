"""What the application of the story does: requests by day and night, features, trials, sessions. Pure by seed.

Counted at the width that pages read: minutes for the last hours, hours for the last days, days before that. Only the
last day's tracked events stand as rows of their own.
"""

import hashlib
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from apps.core import partitions
from apps.projects.models import Component, Project
from apps.telemetry import backfill, count_requests, count_sessions, count_tracked, count_users, histogram
from apps.telemetry.count_requests import DAYS, HOURS, MINUTES, Tally, hour_of, minute_of
from apps.telemetry.known_events import EVENTS
from apps.telemetry.reported import Tracked
from apps.telemetry.storing import store_batch
from reliability_portal.demo import story
from reliability_portal.demo.cast import NOW_FAILING, PASTS
from reliability_portal.demo.doings import AI, CACHE, ENDPOINTS, FEATURES, NUISANCES, TRIALS, Endpoint

BY_MINUTE, BY_HOUR, BY_DAY = timedelta(hours=2), timedelta(days=8), timedelta(days=35)
ACTIVE_A_DAY, ACTIVE_A_DAY_BEFORE = 1_400, 300  # in the last days that pages look at, and before
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Components = dict[str, Component]
Hit = tuple[datetime, bytes]  # when an error hit somebody, and the hash of whom


def write(*, project: Project, components: Components, hits: Iterable[Hit], now: datetime, seed: int) -> None:
    """All of it. `hits` are the users of the story's errors, and when: they were there as well."""
    dice = random.Random(seed + 17)  # noqa: S311  a story, no secret
    partitions.ensure("telemetry_trackedevent", now - 3 * DAY, now + DAY)
    _requests(project, components, now, dice)
    _tracked(project, components, now, dice)
    _sessions(project, now, dice)
    met = [(project.pk, at, who) for at, who in hits if at > now - BY_DAY]
    backfill.store_active(presences=[*met, *_presences(project, now, dice)])
    store_batch(tracked=list(_latest(project, now, dice)), backfilled=True)


# --- Requests -----------------------------------------------------------------------------------------------------
def _requests(project: Project, components: Components, now: datetime, dice: random.Random) -> None:
    minutes_from = hour_of(now - BY_MINUTE)
    hours_from = (now - BY_HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    days_from = hours_from - (BY_DAY - BY_HOUR)
    for start, end, step, spans in (
        (minutes_from, minute_of(now), timedelta(minutes=1), (MINUTES, HOURS, DAYS)),
        (hours_from, minutes_from, HOUR, (HOURS, DAYS)),
        (days_from, hours_from, DAY, (DAYS,)),
    ):
        tallies = {}
        for at in _steps(start, end, step):
            for endpoint in ENDPOINTS:
                for device, share in endpoint.devices:
                    key = count_requests.Key(
                        at,
                        project.pk,
                        components[endpoint.component].pk,
                        endpoint.kind,
                        endpoint.name,
                        device,
                    )
                    tallies[key] = _tally(endpoint, at, step, share, now, dice)
        backfill.store_requests(tallies={k: t for k, t in tallies.items() if t.timed}, spans=spans)


def _steps(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += step


def _tally(
    endpoint: Endpoint, at: datetime, step: timedelta, share: float, now: datetime, dice: random.Random
) -> Tally:
    """The requests of one endpoint in one step of time: more by day, slower and failing where an incident was."""
    hours = step / HOUR
    weight = story.weight(at) if step < DAY else sum(story.weight(at + h * HOUR) for h in range(24)) / 24
    n = _about(endpoint.an_hour * hours * weight * share, dice)
    trouble = _trouble(endpoint, at, step, now)
    failed = min(n, _about(n * (endpoint.failing + trouble), dice))
    median = endpoint.median_ms * math.exp(dice.gauss(0, 0.05)) * (1 + 2 * trouble)
    durations = _spread(n, median, endpoint.spread)
    return Tally(
        n=n,
        failed=failed,
        timed=n,
        duration_sum_ms=_sum_ms(durations),
        duration_max_ms=histogram.value_of(max(durations, default=histogram.LOWEST)),
        durations=durations,
    )


def _sum_ms(durations: histogram.Buckets) -> float:
    return sum(histogram.value_of(bucket) * n for bucket, n in durations.items())


def _about(mean: float, dice: random.Random) -> int:
    """A whole number near the mean, as counts scatter."""
    return max(0, round(dice.gauss(mean, math.sqrt(mean)))) if mean > 9 else int(mean + dice.random())


def _trouble(endpoint: Endpoint, at: datetime, step: timedelta, now: datetime) -> float:
    """The share of requests that the incidents of the story make fail in this step."""
    spans: list[tuple[datetime, float, float]] = [
        (now - past.days_ago * DAY, past.minutes[2], 0.3)
        for past in PASTS
        if past.component == endpoint.component
    ]
    if endpoint.name == NOW_FAILING.route:
        spans.append((now - story.OPEN_FOR, story.OPEN_FOR / timedelta(minutes=1), 0.85))
    hit = timedelta()
    share = 0.0
    for began, minutes, failing in spans:
        overlap = min(at + step, began + timedelta(minutes=minutes)) - max(at, began)
        if overlap > timedelta():
            hit, share = overlap, failing
    return share * (hit / step)


@lru_cache(maxsize=64)
def _reached(spread: float) -> list[tuple[int, float]]:
    """Of lognormal durations the share up to each bucket, counted from the median's."""
    width = spread / math.log(histogram.GAMMA)
    steps = range(-3 * math.ceil(width), 4 * math.ceil(width) + 1)
    return [(step, 0.5 * math.erfc(-(step + 0.5) / width / math.sqrt(2))) for step in steps]


def _spread(n: int, median_ms: float, spread: float) -> dict[int, int]:
    """n lognormal durations as buckets: in each what may be expected, the rest with the slowest."""
    middle = histogram.bucket_of(median_ms)
    buckets: dict[int, int] = {}
    passed = 0
    for step, share in _reached(spread):
        if (reached := round(n * share)) > passed:
            buckets[middle + step] = reached - passed
            passed = reached
    if passed < n:
        buckets[middle + step] = n - passed
    return buckets


# --- Tracked events -----------------------------------------------------------------------------------------------
Counted = tuple[
    str, str, str, str, str, str, float | None
]  # name, component, subject, provider, reason, outcome, ms


def _daily() -> Iterator[tuple[Counted, float, int]]:
    """What is tracked, how often a day, and how many days ago for the last time."""
    for feature, component, uses, seconds, last in FEATURES:
        yield ("feature_used", component, feature, "", "", "", 1000.0 * seconds), uses, last
    for trial, ends, converts in TRIALS:
        yield ("trial_conversion", "User Profile", trial, "", "", "converted", None), ends * converts, 0
        yield ("trial_conversion", "User Profile", trial, "", "", "expired", None), ends * (1 - converts), 0
    for feature, provider, reason, n, fallback in AI:
        yield ("ai_failure", "API Services", feature, provider, reason, "fallback", None), n * fallback, 0
        yield ("ai_failure", "API Services", feature, provider, reason, "none", None), n * (1 - fallback), 0
    for cache, component, asks, found in CACHE:
        yield ("cache_performance", component, cache, "", "", "hit", None), 24 * asks * found, 0
        yield ("cache_performance", component, cache, "", "", "miss", None), 24 * asks * (1 - found), 0
    for name, component, subject, reason, n, ms in NUISANCES:
        yield (name, component, subject, "", reason, "", ms), n, 0


def _severity(name: str) -> str:
    return EVENTS[name].severity if name in EVENTS else "Minor"


def _tracked(project: Project, components: Components, now: datetime, dice: random.Random) -> None:
    """Up to a day ago: four hours of each day stand for all of it. The last day follows as single events."""
    tallies: dict[count_tracked.Key, Tally] = defaultdict(Tally)
    deeds: dict[count_users.Deed, datetime] = {}
    first = hour_of(now - BY_DAY)
    for (name, component, subject, provider, reason, outcome, ms), a_day, last in _daily():
        pk, severity = components[component].pk, _severity(name)
        for at, share in _hours_of_days(first, now - max(last, 1) * DAY):
            if n := _about(a_day * share, dice):
                key = count_tracked.Key(
                    at, project.pk, pk, name, subject, provider, reason, outcome, severity
                )
                durations = _spread(n, ms, 0.6) if ms else {}
                tallies[key].add(Tally(n, 0, n if ms else 0, _sum_ms(durations), durations=durations))
                for _ in range(min(n, 15) if name in ("feature_used", "client_error") else 0):
                    user = count_users.user_key(user_hash(dice.randrange(story.USERS)))
                    deeds[at.date(), project.pk, pk, name, subject, severity, user] = at
    backfill.store_tracked(tallies=tallies, deeds=deeds)


def _hours_of_days(start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """Four hours of each day with the share of the day that each stands for; less at weekends."""
    for day in _steps(start, end, DAY):
        for hour, share in ((7, 0.2), (12, 0.3), (17, 0.3), (21, 0.2)):
            at = day + hour * HOUR
            if at < hour_of(end):
                yield at, share * (0.62 if at.weekday() >= 5 else 1.0)


def user_hash(number: int) -> bytes:
    """The same people as in the stream of errors."""
    return hashlib.sha256(f"demo:{number}".encode()).digest()


def _latest(project: Project, now: datetime, dice: random.Random) -> Iterator[Tracked]:
    """The last day one by one; of what happens every second only a part."""
    for (name, component, subject, provider, reason, outcome, ms), a_day, last in _daily():
        for _ in range(0 if last else min(_about(a_day, dice), 60)):
            at = now - DAY * dice.random()
            told = {"subject": subject, "provider": provider, "reason": reason, "outcome": outcome}
            yield Tracked(
                event_id=f"{dice.getrandbits(128):032x}",
                project_id=project.pk,
                name=name,
                occurred_at=at,
                received_at=at,
                time_is_usable=True,
                component_name=component,
                severity=_severity(name),
                user_hash=user_hash(dice.randrange(story.USERS)),
                duration_ms=ms and ms * math.exp(dice.gauss(0, 0.6)),
                subject=subject,
                provider=provider,
                reason=reason,
                outcome=outcome,
                data={word: value for word, value in told.items() if value},
            )


# --- Sessions and users -------------------------------------------------------------------------------------------
def _sessions(project: Project, now: datetime, dice: random.Random) -> None:
    """About 99.4 % free of crashes; the white page of one release is in it."""
    hours: count_sessions.Counts = {}
    users: dict[count_sessions.UserDay, bool] = {}
    broken = next(past for past in PASTS if past.component == "Frontend UI")
    for at in _steps(hour_of(now - BY_DAY), now, HOUR):
        release = story.release_at(at, now)
        began = now - broken.days_ago * DAY
        crashing = 0.22 if began - HOUR < at < began + timedelta(minutes=broken.minutes[2]) else 0.005
        n = _about(180 * story.weight(at), dice)
        counts = Counter({
            "crashed": _about(n * crashing, dice), "errored": _about(n * 0.03, dice),
            "abnormal": _about(n * 0.002, dice),
        })  # fmt: skip
        counts["healthy"] = max(0, n - sum(counts.values()))
        hours[at, project.pk, release, "production"] = counts
        for number in range(min(n, 6)):
            user = count_users.user_key(user_hash(dice.randrange(story.USERS)))
            key = (at.date(), project.pk, release, "production", user)
            users[key] = (
                users.get(key, False) or number < counts["crashed"] / max(n, 1) * 6 * dice.random() * 2
            )
    backfill.store_sessions(hours=hours, users=users)


def _presences(project: Project, now: datetime, dice: random.Random) -> Iterator[count_users.Presence]:
    """Some are there nearly every day, most now and then."""
    for day in range(BY_DAY // DAY):
        at, drawn = now - day * DAY, ACTIVE_A_DAY if day * DAY <= BY_HOUR else ACTIVE_A_DAY_BEFORE
        for number in {int(story.USERS * dice.random() ** 1.7) for _ in range(drawn)}:
            yield project.pk, at - timedelta(hours=number % 9), user_hash(number)
