"""Which keys open the door: asked of the database every few seconds at most, remembered while it is away."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from apps.ingest import quotas
from apps.ingest.connect import bounded, connect
from apps.ingest.token_bucket import Bucket, Limit
from apps.projects.models import ProjectKey
from apps.projects.origins import normal_form

log = structlog.get_logger("portal.keys")
FRESH_S = 5.0
_RENEW_AT = 0.6  # of that: from then on somebody looks ahead of time, and nobody waits for it
AWAY_S = 2.0
PATIENCE_MS = 3000
_QUEUE_S = 0.5
MOST_STRANGERS = 10_000
MOST_LOADED = 10_000
# Whoever tries keys costs at most so many questions; keys that are real were loaded before, and cost none of these.
STRANGERS = Limit(rate=20, burst=40)
_COLUMNS = (
    "pk", "project_id", "allowed_origins", "rate_limit_per_minute", "project__events_per_day",
    "project__events_per_month",
)  # fmt: skip


class KeysUnavailable(Exception):
    """The database is away and this key was never seen."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the door needs to know of a usable key; `spent` is a quota that was used up when this was read."""

    project_id: int
    allowed_origins: tuple[str, ...] = ()
    key_id: int = 0
    rate_per_minute: int | None = None
    spent: quotas.Quota | None = None


@dataclass
class _Link:
    """The connection that all threads of this process ask over, one at a time, and until when it is not tried."""

    connection: psycopg.Connection | None = None
    away_until: float = 0.0
    loaded: bool = False


_known: dict[str, tuple[float, KeyFacts]] = {}
_strangers: dict[str, float] = {}  # apart, so that whoever tries keys pushes out nobody who has one
_link = _Link()
_asking = threading.Lock()
_budget = Bucket(STRANGERS.burst, 0.0)
_counting = threading.Lock()


def find(public_key: str) -> KeyFacts | None:
    """The facts of a usable key, none older than FRESH_S while the database answers; None for any other key.

    Raises KeysUnavailable if nobody knows.
    """
    now = time.monotonic()
    held = _known.get(public_key)
    if held and now - held[0] < FRESH_S * _RENEW_AT:
        return held[1]
    if now - _strangers.get(public_key, -FRESH_S) < FRESH_S:
        return None
    return _found(public_key, now)


def _found(public_key: str, now: float) -> KeyFacts | None:
    held = _known.get(public_key)
    try:
        if held is None:
            _load_once()
            held = _known.get(public_key)
        if held is None and not _may_ask(now):
            return None
        facts = _ask(public_key, wait_s=_patience(held, now))
    except psycopg.Error as error:
        if held is None:
            raise KeysUnavailable from error
        return held[1]
    _remember(public_key, facts)
    return facts


def _patience(held: tuple[float, KeyFacts] | None, now: float) -> float:
    """Seconds to wait for others who ask: none while what is known is still fresh."""
    if held is None:
        return -1  # as long as it takes
    return 0 if now - held[0] < FRESH_S else _QUEUE_S


def _may_ask(now: float) -> bool:
    """Whether one more question about a stranger is within what they may cost this process."""
    with _counting:
        return _budget.ask(1, STRANGERS, now=now).granted > 0


def _remember(public_key: str, facts: KeyFacts | None) -> None:
    if facts is not None:
        _strangers.pop(public_key, None)
        _known[public_key] = (time.monotonic(), facts)
        return
    _known.pop(public_key, None)
    if len(_strangers) >= MOST_STRANGERS:
        _strangers.clear()
    _strangers[public_key] = time.monotonic()


def forget() -> None:
    """Know nothing, and let go of the connection."""
    _known.clear()
    _strangers.clear()
    _budget.tokens = STRANGERS.burst
    with _asking:
        _drop()
        _link.away_until, _link.loaded = 0.0, False


def _load_once() -> None:
    """Before the first stranger is asked about: every real key, so that none has to compete with strangers.

    They are asked about when they are first used, as whatever is known and old.
    """
    if _link.loaded:
        return
    usable = ProjectKey.objects.usable(timezone.now()).order_by("-pk").values_list("public_key", *_COLUMNS)
    with _asking:
        if not _link.loaded:
            rows = _asked(*usable[:MOST_LOADED].query.sql_with_params())
            old = time.monotonic() - FRESH_S
            for public_key, *row in rows:
                _known.setdefault(public_key, (old, _facts(tuple(row), None)))
            _link.loaded = True


def _ask(public_key: str, *, wait_s: float) -> KeyFacts | None:
    """One question over the one connection. Raises psycopg.Error if it cannot be had now.

    While the database is away one request in AWAY_S waits for it at most, and hardly one whose key is known.
    """
    wanted = ProjectKey.objects.usable(timezone.now()).filter(public_key=public_key)
    sql, parameters = wanted.order_by().values_list(*_COLUMNS).query.sql_with_params()
    if not (_asking.acquire(timeout=wait_s) if wait_s else _asking.acquire(blocking=False)):
        raise psycopg.OperationalError("somebody else is asking")
    try:
        rows = _asked(sql, parameters)
        return _facts(rows[0], _spent(rows[0])) if rows else None
    finally:
        _asking.release()


def read(rows: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """Rows of `values_list`, asked over the door's own connection. Raises psycopg.Error while the database is away."""
    with _asking:
        return _asked(*rows.query.sql_with_params())


def _facts(row: tuple[Any, ...], spent: quotas.Quota | None) -> KeyFacts:
    pk, project_id, origins, rate = row[:4]
    return KeyFacts(project_id, tuple(normal_form(o) or o for o in origins), pk, rate, spent)


def _spent(row: tuple[Any, ...]) -> quotas.Quota | None:
    """The quota that keeps this key's project out, if any; without quotas nobody counts."""
    project, installation = quotas.Ends(row[4], row[5]), installation_ends()
    if not (project or installation):
        return None
    today = timezone.now().date()
    asked = quotas.parameters(row[1], today, all_projects=bool(installation))
    return quotas.spent(quotas.of(project, installation, _asked(quotas.USED, asked)[0], today))


def installation_ends() -> quotas.Ends:
    """The installation's own quotas; 0 in the settings is none."""
    return quotas.Ends(settings.INGEST_EVENTS_PER_DAY or None, settings.INGEST_EVENTS_PER_MONTH or None)


def _asked(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    if time.monotonic() < _link.away_until:
        raise psycopg.OperationalError("the database was away a moment ago")
    try:
        return _fetch(sql, parameters)
    except psycopg.Error as error:
        _drop()
        _link.away_until = time.monotonic() + AWAY_S
        log.warning("database away: the last known keys are used", error=type(error).__name__)
        raise


def _fetch(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    """The rows; a connection that went stale while idle is replaced once."""
    if _link.connection is not None and not _link.connection.closed:
        try:
            return _rows(_link.connection, sql, parameters)
        except psycopg.OperationalError:
            _drop()
    _link.connection = connect("keys", patience_ms=PATIENCE_MS)
    return _rows(_link.connection, sql, parameters)


def _rows(connection: psycopg.Connection, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    with bounded(connection, PATIENCE_MS / 1000):
        return connection.execute(sql.encode(), parameters).fetchall()


def _drop() -> None:
    held, _link.connection = _link.connection, None
    if held is not None:
        held.close()
