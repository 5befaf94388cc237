"""The durable inbox at the door: many requests, one commit.

A thread of each web process collects what its request threads hand in and commits it together, so that the price of
an fsync is shared. `accept` returns when its entry is on disk; that is what a 2xx promises.
"""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

import orjson
import psycopg
import structlog
from django.conf import settings
from psycopg.types.json import Jsonb

from apps.ingest.connect import connect
from apps.ingest.tally import tally

log = structlog.get_logger("portal.inbox")
MOST_AT_ONCE = 200
WAIT_AT_MOST_S = 10.0
PATIENCE_MS = 8000
LOOK_EVERY_S = 2.0
FLUSH_EVERY_S = 3.0
BROKEN_RETRY_S = 5
FULL_RETRY_S = 30
_COPY = (
    "COPY ingest_inboxentry (received_at, project_id, kind, coding, context, body, attempts) "
    "FROM STDIN (FORMAT BINARY)"
)
_TYPES = ["timestamptz", "int8", "int2", "text", "jsonb", "bytea", "int2"]


class InboxUnavailable(Exception):
    """Nothing is promised: the sender must try again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int = BROKEN_RETRY_S) -> None:
        super().__init__("the inbox cannot be written")
        self.retry_after_s = retry_after_s


class InboxFull(InboxUnavailable):
    """More waits than INBOX_MAX_ROWS: nothing is broken, senders must hold back."""

    def __init__(self) -> None:
        super().__init__(FULL_RETRY_S)


@dataclass(frozen=True)
class Entry:
    """One accepted request: `body` as received, packed in `coding`."""

    project_id: int
    kind: int
    body: bytes
    coding: str = ""
    context: bytes = b"{}"


_Group = list[tuple[tuple[Entry, ...], "Future[None]"]]


class Committer:
    """Writes entries in groups over one connection of its own; made on the first entry, so after any fork."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[tuple[Entry, ...], Future[None]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._depth = 0
        self._looked_at = 0.0
        self._flushed_at = 0.0

    def accept(self, *entries: Entry) -> None:
        """Return once all are durable; InboxUnavailable if they could not be made so, InboxFull if they may not."""
        self.attend()
        if self._is_full():
            raise InboxFull
        done: Future[None] = Future()
        self._waiting.put((entries, done))
        try:
            done.result(timeout=WAIT_AT_MOST_S)
        except TimeoutError as error:
            done.cancel()  # not yet begun: then it never will be, since the sender is told to come again
            raise InboxUnavailable from error

    def close(self) -> None:
        """Let go of the connection; the next entry opens another."""
        self._drop_connection()
        self._depth = 0

    def attend(self) -> None:
        """See to it that the thread runs, which also writes what the door counted."""
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="inbox-committer", daemon=True)
                self._thread.start()

    def _is_full(self) -> bool:
        return self._depth > settings.INBOX_MAX_ROWS

    def _run(self) -> None:
        while True:
            group = self._collect()
            if group:
                self._commit(group)
            if group or self._is_full():
                self._look()
            self._flush()

    def _collect(self) -> _Group:
        """What waits; after LOOK_EVERY_S nothing, for a full inbox is looked at again though nobody hands in any."""
        group: _Group = []
        try:
            group.append(self._waiting.get(timeout=LOOK_EVERY_S))
            while len(group) < MOST_AT_ONCE:
                group.append(self._waiting.get_nowait())
        except Empty:
            pass
        return [(entries, done) for entries, done in group if done.set_running_or_notify_cancel()]

    def _commit(self, group: _Group) -> None:
        try:
            self._write([entry for entries, _ in group for entry in entries])
        except Exception as error:  # the edge: each waiting request is told, and the thread lives on
            log.warning("inbox write failed", entries=len(group), error=type(error).__name__)
            self._drop_connection()
            for _, done in group:
                done.set_exception(InboxUnavailable())
            return
        for _, done in group:
            done.set_result(None)

    def _write(self, entries: list[Entry]) -> None:
        """One COPY and one commit. A connection that went stale while idle is replaced once."""
        try:
            self._copy(self._connected(), entries)
        except psycopg.OperationalError:
            self._drop_connection()
            self._copy(self._connected(), entries)

    def _copy(self, connection: psycopg.Connection, entries: list[Entry]) -> None:
        now = datetime.now(UTC)
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for e in entries:
                context = Jsonb(e.context, dumps=bytes.decode)
                copy.write_row((now, e.project_id, e.kind, e.coding, context, e.body, 0))

    def _look(self) -> None:
        """How deep the inbox is, every two seconds at most, and counted no further than matters."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        count = "SELECT count(*) FROM (SELECT FROM ingest_inboxentry LIMIT %s) waiting"
        try:
            row = self._connected().execute(count, [settings.INBOX_MAX_ROWS + 1]).fetchone()
        except psycopg.Error as error:
            log.warning("inbox depth unknown", error=type(error).__name__)
            self._drop_connection()
        else:
            self._depth = int(row[0]) if row else 0

    def _flush(self) -> None:
        """Write what the door counted meanwhile."""
        if tally.is_empty() or time.monotonic() - self._flushed_at < FLUSH_EVERY_S:
            return
        self._flushed_at = time.monotonic()
        try:
            tally.flush(self._connected())
        except psycopg.Error as error:
            log.warning("counts of the door wait", error=type(error).__name__)
            self._drop_connection()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect("inbox", patience_ms=PATIENCE_MS)
        return self._connection

    def _drop_connection(self) -> None:
        held, self._connection = self._connection, None
        if held is not None:
            held.close()


_committer = Committer()


def accept(*entries: Entry) -> None:
    """Keep all of them or none; returns when they are durable. InboxUnavailable otherwise."""
    _committer.accept(*entries)


def attend() -> None:
    """See to it that what the door counted is written, also while nothing is accepted."""
    _committer.attend()


def close() -> None:
    """Let go of this process's connection."""
    _committer.close()


def encode_context(facts: dict[str, object]) -> bytes:
    """The context column of an entry."""
    return orjson.dumps(facts)
