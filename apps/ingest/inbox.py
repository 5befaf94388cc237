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
from django.db import connections
from psycopg.types.json import Jsonb

log = structlog.get_logger("portal.inbox")
MOST_AT_ONCE = 200
WAIT_AT_MOST_S = 10.0
_COPY = (
    "COPY ingest_inboxentry (received_at, project_id, kind, coding, context, body, attempts)"
    " FROM STDIN (FORMAT BINARY)"
)
_TYPES = ["timestamptz", "int8", "int2", "text", "jsonb", "bytea", "int2"]


class InboxUnavailable(Exception):
    """Nothing was kept: the sender must try again. `retry_after_s` says when."""

    def __init__(self, retry_after_s: int = 5) -> None:
        super().__init__("the inbox cannot be written")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Entry:
    """One accepted request: `body` as received, packed in `coding`."""

    project_id: int
    kind: int
    body: bytes
    coding: str = ""
    context: bytes = b"{}"


class Committer:
    """Writes entries in groups over one connection of its own; made on the first entry, so after any fork."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Entry, Future[None]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._depth = 0
        self._depth_read_at = 0.0

    def accept(self, entry: Entry) -> None:
        """Return once the entry is durable; InboxUnavailable if it could not be made so."""
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if self._depth > settings.INBOX_MAX_ROWS:
            raise InboxUnavailable(retry_after_s=30)
        done: Future[None] = Future()
        self._waiting.put((entry, done))
        try:
            done.result(timeout=WAIT_AT_MOST_S)
        except TimeoutError as error:
            raise InboxUnavailable from error

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="inbox-committer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            group = [self._waiting.get()]
            while len(group) < MOST_AT_ONCE:
                try:
                    group.append(self._waiting.get_nowait())
                except Empty:
                    break
            self._commit(group)

    def _commit(self, group: list[tuple[Entry, "Future[None]"]]) -> None:
        try:
            self._write([entry for entry, _ in group])
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
        self._measure(connection)

    def _measure(self, connection: psycopg.Connection) -> None:
        """How deep the inbox is, about every two seconds, from the two ends of its key: no count."""
        if time.monotonic() - self._depth_read_at < 2:
            return
        row = connection.execute("SELECT coalesce(max(id) - min(id), 0) FROM ingest_inboxentry").fetchone()
        self._depth, self._depth_read_at = int(row[0]) if row else 0, time.monotonic()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            parameters = connections["default"].get_connection_params()
            wanted = {
                k: parameters[k] for k in ("dbname", "user", "password", "host", "port") if k in parameters
            }
            self._connection = psycopg.connect(
                **wanted, autocommit=True, connect_timeout=3, application_name="portal-inbox",
                options="-c statement_timeout=8000",
            )  # fmt: skip
        return self._connection

    def _drop_connection(self) -> None:
        held, self._connection = self._connection, None
        if held is not None:
            held.close()


_committer = Committer()


def accept(entry: Entry) -> None:
    """Keep one entry; returns when it is durable. InboxUnavailable otherwise."""
    _committer.accept(entry)


def encode_context(facts: dict[str, object]) -> bytes:
    """The context column of an entry."""
    return orjson.dumps(facts)
