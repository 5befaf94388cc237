"""The routing rules as the JSON doors know them: read every few seconds at most, remembered while the database is away.

A process that has never read them places by its defaults: a report in the wrong part of a project is worth more than
one that was refused.
"""

import threading
import time
from dataclasses import dataclass

import psycopg
import structlog

from apps.ingest import keys
from apps.projects.queries import RoutingTable

log = structlog.get_logger("portal.routes")
FRESH_S = 5.0


@dataclass
class _Held:
    """The last table and when it was read."""

    table: RoutingTable | None = None
    read_at: float = -FRESH_S


_held = _Held()
_reading = threading.Lock()


def current() -> RoutingTable:
    """Routing rules, at most FRESH_S old while the database answers."""
    if time.monotonic() - _held.read_at >= FRESH_S and _reading.acquire(blocking=_held.table is None):
        try:  # whoever comes meanwhile takes the last ones; only the very first ones wait
            if time.monotonic() - _held.read_at >= FRESH_S:
                _read()
        finally:
            _reading.release()
    return _held.table or RoutingTable(lambda _: [])


def _read() -> None:
    try:
        _held.table = RoutingTable(keys.read)
    except psycopg.Error as error:
        log.warning("the last known routing rules are used", error=type(error).__name__)
    _held.read_at = time.monotonic()


def forget() -> None:
    """Know nothing."""
    _held.table, _held.read_at = None, -FRESH_S
