"""Which keys open the door: asked of the database every few seconds at most, remembered while it is away."""

import threading
import time
from dataclasses import dataclass

import psycopg
import structlog
from django.utils import timezone

from apps.ingest.connect import connect
from apps.projects.models import ProjectKey

log = structlog.get_logger("portal.keys")
FRESH_S = 5.0
AWAY_S = 2.0
PATIENCE_MS = 3000
MOST_STRANGERS = 10_000


class KeysUnavailable(Exception):
    """The database is away and this key was never seen."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the door needs to know of a usable key."""

    project_id: int
    allowed_origins: tuple[str, ...] = ()


@dataclass
class _Link:
    """The connection that all threads of this process ask over, one at a time, and until when it is not tried."""

    connection: psycopg.Connection | None = None
    away_until: float = 0.0


_known: dict[str, tuple[float, KeyFacts]] = {}
_strangers: dict[str, float] = {}  # apart, so that whoever tries keys pushes out nobody who has one
_link = _Link()
_asking = threading.Lock()


def find(public_key: str) -> KeyFacts | None:
    """The facts of a usable key, None for any other. KeysUnavailable if nobody knows."""
    now = time.monotonic()
    held = _known.get(public_key)
    if held and now - held[0] < FRESH_S:
        return held[1]
    if now - _strangers.get(public_key, -FRESH_S) < FRESH_S:
        return None
    try:
        facts = _ask(public_key, wait=held is None)
    except psycopg.Error as error:
        if held is None:
            raise KeysUnavailable from error
        return held[1]
    _remember(public_key, facts)
    return facts


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
    with _asking:
        _drop()
        _link.away_until = 0.0


def _ask(public_key: str, *, wait: bool) -> KeyFacts | None:
    """One question over the one connection. Raises psycopg.Error if it cannot be had now.

    While the database is away one request in AWAY_S waits for it at most, and none whose key is known.
    """
    wanted = ProjectKey.objects.usable(timezone.now()).filter(public_key=public_key)
    sql, parameters = wanted.order_by().values_list("project_id", "allowed_origins").query.sql_with_params()
    if not _asking.acquire(blocking=wait):
        raise psycopg.OperationalError("somebody else is asking")
    try:
        row = _asked(sql, parameters)
    finally:
        _asking.release()
    return KeyFacts(row[0], tuple(map(_origin, row[1]))) if row else None


def _asked(sql: str, parameters: tuple[object, ...]) -> tuple[int, list[str]] | None:
    if time.monotonic() < _link.away_until:
        raise psycopg.OperationalError("the database was away a moment ago")
    try:
        return _fetch(sql, parameters)
    except psycopg.Error as error:
        _drop()
        _link.away_until = time.monotonic() + AWAY_S
        log.warning("database away: the last known keys are used", error=type(error).__name__)
        raise


def _fetch(sql: str, parameters: tuple[object, ...]) -> tuple[int, list[str]] | None:
    """The row; a connection that went stale while idle is replaced once."""
    if _link.connection is not None and not _link.connection.closed:
        try:
            return _link.connection.execute(sql.encode(), parameters).fetchone()
        except psycopg.OperationalError:
            _drop()
    _link.connection = connect("keys", patience_ms=PATIENCE_MS)
    return _link.connection.execute(sql.encode(), parameters).fetchone()


def _drop() -> None:
    held, _link.connection = _link.connection, None
    if held is not None:
        held.close()


def _origin(text: str) -> str:
    """As browsers write it: people add a slash or a capital."""
    return text.strip().rstrip("/").lower()
