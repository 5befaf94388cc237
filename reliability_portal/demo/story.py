"""The stream of errors: a daily and weekly rhythm, releases, users, and bursts where incidents lie. Pure by seed."""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from apps.core.severity import RecordSeverity
from apps.errors import grouping
from apps.errors.new_event import NewEvent
from reliability_portal.demo.cast import FAILURES, NOW_FAILING, PASTS, RELEASES, Failure

DAYS = 90
ERRORS = 30_000
USERS = 4_200
OPEN_FOR = timedelta(minutes=6)
OPEN_ERRORS = 118
FEWEST = OPEN_ERRORS + sum(past.burst for past in PASTS)
DAY = timedelta(days=1)
_BROWSERS = ("Chrome", "Safari", "Firefox", "Edge")


@dataclass(frozen=True)
class Moment:
    """One error that will happen: when, which, in which release."""

    at: datetime
    failure: Failure


def release_at(at: datetime, now: datetime) -> str:
    """The release that was out then."""
    age = (now - at) / DAY
    index = len(RELEASES) - 1 - int((age + 10.8) / 11)
    return RELEASES[max(0, min(index, len(RELEASES) - 1))]


def weight(at: datetime) -> float:
    """More by day than by night, less at weekends."""
    by_hour = 0.35 + 0.65 * max(0.0, math.sin((at.hour - 5) / 24 * 2 * math.pi) + 0.35)
    return by_hour * (0.62 if at.weekday() >= 5 else 1.0)


def moments(now: datetime, seed: int, n: int = ERRORS) -> list[Moment]:
    """All n errors of the story in order of time; at least FEWEST, since the incidents need theirs."""
    dice = random.Random(seed)  # noqa: S311  a story, no secret
    found = [*_bursts(now, dice), *_open_one(now, dice)]
    found += _stream(now, n - len(found), dice)
    return sorted(found, key=lambda m: (m.at, m.failure.kind, m.failure.module))


def _stream(now: datetime, n: int, dice: random.Random) -> Iterator[Moment]:
    """The everyday background, spread over hours by their weight."""
    start = now - DAYS * DAY
    hours = [start + timedelta(hours=h) for h in range(DAYS * 24)]
    chosen = dice.choices(hours, weights=[weight(h) for h in hours], k=n)
    shares = [f.share for f in FAILURES]
    for hour in chosen:
        failure = dice.choices(FAILURES, weights=shares)[0]
        at = min(hour + timedelta(seconds=dice.uniform(0, 3600)), now - timedelta(minutes=15))
        age = (now - at) / DAY
        if not failure.last_day <= age <= failure.first_day:
            failure = FAILURES[dice.choice((0, 1, 6, 25, 27))]
        yield Moment(at, failure)


def _bursts(now: datetime, dice: random.Random) -> Iterator[Moment]:
    """What the past incidents looked like from outside: a steep beginning, an end at the mitigation."""
    for past in PASTS:
        began = now - past.days_ago * DAY
        length_s = past.minutes[2] * 60
        for _ in range(past.burst):
            yield Moment(began + timedelta(seconds=length_s * dice.random() ** 1.4), FAILURES[past.failure])


def _open_one(now: datetime, dice: random.Random) -> Iterator[Moment]:
    """The one that is going on."""
    for _ in range(OPEN_ERRORS):
        yield Moment(now - OPEN_FOR * dice.random() ** 0.8 - timedelta(seconds=2), NOW_FAILING)


def event_of(moment: Moment, index: int, project_id: int, now: datetime, seed: int) -> NewEvent:
    """The event as the normaliser would have made it."""
    failure, at = moment.failure, moment.at
    dice = random.Random(seed * 1_000_003 + index)  # noqa: S311  a story, no secret
    user = dice.randrange(USERS)
    release = release_at(at, now)
    fingerprint, title, culprit = _identity(failure)
    mobile = dice.random() < 0.34
    return NewEvent(
        event_id=hashlib.md5(f"{seed}:{index}:{at.timestamp()}".encode(), usedforsecurity=False).hexdigest(),
        project_id=project_id,
        occurred_at=at,
        received_at=min(at + timedelta(seconds=1), now),
        time_is_usable=True,
        error_type=failure.error_type,
        exception_type=failure.kind,
        message=failure.message,
        severity=RecordSeverity(failure.severity),
        level="error",
        component_name=failure.component,
        component_is_named=True,
        route=failure.route,
        release=release,
        environment="production",
        platform=failure.platform,
        user_hash=hashlib.sha256(f"demo:{user}".encode()).digest(),
        user_impact=failure.severity != "Minor" or dice.random() < 0.8,
        source="demo",
        device="mobile" if mobile else "desktop",
        fingerprint=fingerprint,
        title=title,
        culprit=culprit,
        tags={
            "browser": dice.choice(_BROWSERS),
            "region": dice.choice(("eu", "eu", "us")),
            "host": f"web-{user % 4 + 1}",
        },
        payload=_payload(failure, at, dice),
    )


@lru_cache(maxsize=256)
def _identity(failure: Failure) -> tuple[str, str, str]:
    exceptions = _exceptions(failure, 0)
    return (
        grouping.fingerprint(exceptions, failure.message, sent=None, error_type=failure.error_type),
        grouping.title_of(exceptions, failure.message),
        grouping.culprit_of(exceptions, failure.route),
    )


def _exceptions(failure: Failure, request: int) -> list[dict[str, Any]]:
    """A short, plausible stack: the framework, a view, and where it broke."""
    script = failure.platform == "javascript"
    entry = "app/router.js" if script else "journal_app/handlers.py"
    library = "react-dom.production.min.js" if script else "django/core/handlers/base.py"
    frames = [
        {"filename": library, "function": "dispatch", "lineno": 197, "in_app": False},
        {
            "filename": entry, "function": "handle", "lineno": 42, "in_app": True,
            "pre_context": ["def handle(request):", "    view = resolve(request)"],
            "context_line": "    return view(request)", "post_context": ["", ""], "vars": {"request": request},
        },
        {
            "filename": failure.module, "function": failure.function, "lineno": 60 + len(failure.kind), "in_app": True,
            "pre_context": [f"def {failure.function}(…):", "    # the usual way"],
            "context_line": f"    {failure.line}", "post_context": ["    log.info('done')", ""],
            "vars": {"attempt": request % 3 + 1, "token": "[removed]"},
        },
    ]  # fmt: skip
    return [{"type": failure.kind, "value": failure.message, "stacktrace": {"frames": frames},
             "mechanism": {"type": "demo", "handled": False}}]  # fmt: skip


def _payload(failure: Failure, at: datetime, dice: random.Random) -> dict[str, Any]:
    method, _, path = failure.route.rpartition(" ")
    return {
        "exceptions": _exceptions(failure, dice.randrange(1000)),
        "breadcrumbs": [
            {"timestamp": (at - timedelta(seconds=3)).isoformat(), "category": "http",
             "message": f"{failure.route} begins"},
            {"timestamp": (at - timedelta(seconds=1)).isoformat(), "category": "query",
             "message": "SELECT … FROM accounts WHERE id = %s"},
        ],
        "request": {"method": method or "GET", "url": f"https://journal.example.org{path}",
                    "headers": {"Accept": "application/json", "Authorization": "[removed]"}},
        "contexts": {"runtime": {"name": "CPython" if failure.platform == "python" else "browser",
                                 "version": "3.12.1"}},
    }  # fmt: skip
