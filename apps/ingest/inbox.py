"""The durable inbox at the door: many requests, one commit; and the spool while PostgreSQL is away.

A thread of each web process collects what its request threads hand in and commits it together, so that the price of
an fsync is shared. `accept` returns when its entry is on disk; that is what a 2xx promises. Where a commit fails
because PostgreSQL is away, the same group goes into the spool instead, and so does everything until it is back.
"""

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from uuid import UUID, uuid4

import orjson
import psycopg
import structlog
from django.conf import settings

from apps.ingest import moving, spool
from apps.ingest.connect import bounded, connect, cut
from apps.ingest.entries import Entry, copy_rows, now_us
from apps.ingest.spool import Group, SpoolFull
from apps.ingest.tally import tally

__all__ = ["Entry", "InboxFull", "InboxUnavailable", "accept", "attend", "close", "encode_context"]

log = structlog.get_logger("portal.inbox")
MOST_AT_ONCE = 200
WAIT_AT_MOST_S = 10.0
# A commit that takes longer is taken out of PostgreSQL's hands: its group goes into the spool.
HUNG_S = 2.5
PATIENCE_MS = 8000
LOOK_EVERY_S = 2.0
PROBE_EVERY_S = 0.5
FLUSH_EVERY_S = 3.0
BROKEN_RETRY_S = 5
FULL_RETRY_S = 30
_READ_ONLY = "25006"


class InboxUnavailable(Exception):
    """Nothing is promised: the sender must try again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int = BROKEN_RETRY_S) -> None:
        super().__init__("the inbox cannot be written")
        self.retry_after_s = retry_after_s


class InboxFull(InboxUnavailable):
    """More waits than INBOX_MAX_ROWS or INBOX_MAX_BYTES, or the disk is nearly full: senders must hold back."""

    def __init__(self) -> None:
        super().__init__(FULL_RETRY_S)


_Waiting = tuple[tuple[Entry, ...], "Future[None]"]


_END: _Waiting = ((), Future())  # wakes a thread that is to end


@dataclass
class _Flight:
    """A group on its way. `in_doubt`: its COMMIT was sent, and nobody knows whether it arrived."""

    waiting: list[_Waiting]
    group: Group
    begun: float
    in_doubt: bool = False
    taken_over: bool = False

    def end(self, error: InboxUnavailable | None = None) -> None:
        """Answer everybody who waits for it."""
        for _, done in self.waiting:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


class Committer:
    """Writes entries in groups over one connection of its own; made on the first entry, so after any fork."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[_Waiting] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._writer = UUID(int=0)
        self._number = 0
        self._flight: _Flight | None = None
        self._chore_begun: float | None = None
        self._away = False
        self._spool = spool.Spool()
        self._depth = 0
        self._depth_bytes = 0
        self._disk_is_full = False
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
            self._wait(done)
        except TimeoutError as error:
            done.cancel()  # not yet begun: then it never will be, since the sender is told to come again
            raise InboxUnavailable from error

    def _wait(self, done: "Future[None]") -> None:
        """For the answer, and meanwhile for a commit that hangs."""
        deadline = time.monotonic() + WAIT_AT_MOST_S
        while (left := deadline - time.monotonic()) > HUNG_S:
            try:
                done.result(timeout=HUNG_S)
            except TimeoutError:
                self._take_over()
            else:
                return
        done.result(timeout=max(left, 0))

    def close(self) -> None:
        """End the thread, and let go of the connection and of the segment; the next entry begins anew."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(_END)
            thread.join(WAIT_AT_MOST_S)
        self._drop_connection()
        self._spool.close()
        self._depth = self._depth_bytes = 0
        self._disk_is_full = False

    def attend(self) -> None:
        """See to it that the thread runs, which also writes what the door counted."""
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name="inbox-committer", daemon=True)
            self._thread.start()
            if spool.segments():  # left by a process that died
                threading.Thread(target=self._come_back, name="inbox-mover", daemon=True).start()

    def _is_full(self) -> bool:
        too_deep = self._depth > settings.INBOX_MAX_ROWS or self._depth_bytes > settings.INBOX_MAX_BYTES
        return too_deep or self._disk_is_full

    def _run(self) -> None:
        while self._thread is threading.current_thread():
            waiting = self._collect()
            if waiting:
                entries = [entry for handed_in, _ in waiting for entry in handed_in]
                self._keep(_Flight(waiting, Group(now_us(), entries), time.monotonic()))
            if not self._away:
                self._chores(look=bool(waiting) or self._is_full())

    def _collect(self) -> list[_Waiting]:
        """What waits; after LOOK_EVERY_S nothing, for a full inbox is looked at again though nobody hands in any."""
        group: list[_Waiting] = []
        try:
            group.append(self._waiting.get(timeout=LOOK_EVERY_S))
            while len(group) < MOST_AT_ONCE:
                group.append(self._waiting.get_nowait())
        except Empty:
            pass
        return [(e, done) for e, done in group if done is not _END[1] and done.set_running_or_notify_cancel()]

    # --- One group ------------------------------------------------------------------------------------------------
    def _keep(self, flight: _Flight) -> None:
        """Into the inbox, else into the spool. The edge: each waiting request is told, and the thread lives on."""
        try:
            if self._away or not self._commit(flight):
                self._to_spool(flight)
        except Exception as error:
            log.warning("inbox write failed", entries=len(flight.group.entries), error=type(error).__name__)
            self._drop_connection()
            flight.end(InboxUnavailable())

    def _commit(self, flight: _Flight) -> bool:
        """True once it is answered; False if PostgreSQL is away and it is still ours to keep."""
        with self._lock:
            self._flight = flight
        failed: psycopg.Error | None = None
        try:
            self._write(flight)
        except psycopg.Error as error:
            failed = error
        with self._lock:
            self._flight = None
        if flight.taken_over:
            self._drop_connection()
            return True
        if failed is None:
            flight.end()
            return True
        if not _is_away(failed):
            raise failed
        self._drop_connection()
        self._go_away(failed)
        return False

    def _write(self, flight: _Flight) -> None:
        """One COPY and one commit. A connection that broke is replaced once, and asked what became of the group."""
        try:
            self._copy(self._connected(), flight)
        except psycopg.OperationalError:
            self._drop_connection()
            if flight.taken_over:
                raise
            connection = self._connected()
            if not (flight.in_doubt and moving.is_done(connection, flight.group)):
                flight.in_doubt = False
                self._copy(connection, flight)

    def _copy(self, connection: psycopg.Connection, flight: _Flight) -> None:
        self._number += 1
        number, group = self._number, flight.group
        cursor = connection.execute(
            f"BEGIN; UPDATE ingest_inboxwriter SET done = {number}, seen_at = now() WHERE id = '{self._writer}'"  # noqa: S608
        )
        cursor.nextset()
        if cursor.rowcount != 1:
            raise psycopg.OperationalError("this writer was forgotten")
        moving.copy(connection, [copy_rows(group.received_us, group.entries)])
        with self._lock:  # whoever takes it over from here on knows what to ask for
            if flight.taken_over:
                raise psycopg.OperationalError("somebody else keeps this group")
            group.writer, group.number, flight.in_doubt = self._writer.bytes, number, True
        connection.execute("COMMIT")

    # --- PostgreSQL away ------------------------------------------------------------------------------------------
    def _take_over(self) -> None:
        """End what hangs: its connection is cut, and whether a commit arrived is found out when it is moved."""
        with self._lock:
            flight, connection = self._flight, self._connection
            begun = flight.begun if flight else self._chore_begun
            if begun is None or time.monotonic() - begun < HUNG_S:
                return
            if flight:
                flight.taken_over, self._flight = True, None
            if connection is not None:
                cut(connection)  # and closed by the thread that waits on it
        self._go_away(psycopg.errors.ConnectionTimeout("the database hangs"))
        if flight:
            self._to_spool(flight)

    def _to_spool(self, flight: _Flight) -> None:
        if not flight.in_doubt:
            flight.group.writer, flight.group.number = b"", 0
        try:
            self._spool.append(flight.group)
        except SpoolFull as full:
            log.warning("spool refused", entries=len(flight.group.entries), reason=str(full))
            flight.end(InboxUnavailable())
        else:
            flight.end()

    def _go_away(self, error: psycopg.Error) -> None:
        with self._lock:
            if self._away:
                return
            self._away = True
        log.warning("database away: entries go into the spool", error=type(error).__name__)
        threading.Thread(target=self._come_back, name="inbox-mover", daemon=True).start()

    def _come_back(self) -> None:
        """Until PostgreSQL takes a commit again; then everything goes there, and what was spooled is moved."""
        while True:
            try:
                with contextlib.closing(connect("spool", patience_ms=PATIENCE_MS)) as connection:
                    with bounded(connection, HUNG_S):
                        _register(connection)
                    self._is_back()
                    moving.move_all(connection)
                return
            except psycopg.Error as error:
                log.info("spool waits for the database", error=type(error).__name__)
                time.sleep(PROBE_EVERY_S)

    def _is_back(self) -> None:
        if self._away:
            log.warning("database back: entries go into the inbox again")
        self._away = False
        self._spool.close()

    # --- Beside the way: how deep the inbox is, what the door counted -----------------------------------------------
    def _chores(self, *, look: bool) -> None:
        self._chore_begun = time.monotonic()
        if look:
            self._look()
        self._flush()
        self._chore_begun = None

    def _look(self) -> None:
        """How deep the inbox is, every two seconds at most, and counted no further than matters."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        self._disk_is_full = settings.EMBEDDED_DATABASE and spool.disk_is_full()
        count = (
            "SELECT count(*), coalesce(sum(octet_length(body)), 0) "
            "FROM (SELECT body FROM ingest_inboxentry LIMIT %s) waiting"
        )
        try:
            row = self._connected().execute(count, [settings.INBOX_MAX_ROWS + 1]).fetchone()
        except psycopg.Error as error:
            log.warning("inbox depth unknown", error=type(error).__name__)
            self._drop_connection()
        else:
            self._depth, self._depth_bytes = map(int, row or (0, 0))

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
            connection = connect("inbox", patience_ms=PATIENCE_MS)
            self._writer, self._number = _register(connection), 0
            self._connection = connection
        return self._connection

    def _drop_connection(self) -> None:
        held, self._connection = self._connection, None
        if held is not None:
            held.close()


def _register(connection: psycopg.Connection) -> UUID:
    """A writer with its row, from which groups are counted: a commit, so PostgreSQL really takes some."""
    writer = uuid4()
    connection.execute("INSERT INTO ingest_inboxwriter (id) VALUES (%s)", [writer])
    return writer


def _is_away(error: psycopg.Error) -> bool:
    """Not the group's fault: the server is gone, starting, full, or no longer the one that takes writes."""
    return (
        isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or error.sqlstate == _READ_ONLY
    )


_committer = Committer()


def accept(*entries: Entry) -> None:
    """Keep all of them or none; returns when they are durable. InboxUnavailable otherwise."""
    _committer.accept(*entries)


def attend() -> None:
    """See to it that what the door counted is written, also while nothing is accepted."""
    _committer.attend()


def close() -> None:
    """Let go of this process's connection, and of what the door counted."""
    tally.forget()
    _committer.close()


def encode_context(facts: dict[str, object]) -> bytes:
    """The context column of an entry."""
    return orjson.dumps(facts)
