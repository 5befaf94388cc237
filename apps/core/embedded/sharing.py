"""Start or join: one data directory never has two servers of a kind.

The first process that needs a server owns it: it starts it as its child and stops it when it is done, after
those that joined have left. `manage.py up` insists on owning: it waits until a shorter command that came
first is done, and does not wait for anybody when it is told to stop.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from apps.core.embedded.locks import Owner, read_owner
from apps.core.embedded.paths import data_dir
from apps.core.embedded.postgres import Postgres
from apps.core.embedded.process import ServerError
from apps.core.embedded.server import EmbeddedServer
from apps.core.embedded.valkey import Valkey

_POLL_S = 0.05
_TELL_AFTER_S = 1.0
_JOIN_WITHIN_S = 330  # longer than a server may take to start
# How long a server may take to stop in order; the portal as a whole promises ten seconds.
_PATIENCE_S, _PORTAL_PATIENCE_S = 10.0, 1.5
PORTAL = "up"
# Commands that never open the database; `makemigrations` does, to compare with what was applied.
_WITHOUT_SERVERS = {
    "help", "version", "collectstatic", "findstatic", "compilemessages", "makemessages", "diffsettings",
    "startapp", "startproject", "spectacular",
    PORTAL,  # brings its own
}  # fmt: skip


def wanted(data: Path | None = None) -> list[EmbeddedServer]:
    """The servers that the environment does not bring: PostgreSQL first, as it stops last."""
    place = (data or data_dir()).resolve()  # as the settings name it
    kinds = (("DATABASE_URL", Postgres), ("REDIS_URL", Valkey))
    return [kind(place) for name, kind in kinds if not _is_set(name)]


def _is_set(name: str) -> bool:
    return any(os.environ.get(n, "").strip() for n in (name, f"{name}_FILE"))


@contextlib.contextmanager
def running(
    data: Path | None = None, *, title: str = "", own: bool = False
) -> Iterator[list[EmbeddedServer]]:
    """Servers of this data directory, started or joined; gives those that this process owns.

    `title` tells others who the owner is. With `own` joining is not enough: wait until the servers are free
    to be started here, and at the end stop them under whoever still uses them. Raises ServerError. Call it
    from the main thread (the servers end with the thread that started them).
    """
    begin = _owned if own else _started_or_joined
    with contextlib.ExitStack() as stack:
        try:
            owned = [server for server in wanted(data) if stack.enter_context(begin(server, title))]
        except OSError as error:  # a full disk, a closed directory: a person needs the reason, no traceback
            raise ServerError(f"The portal's own servers could not be started: {error}.") from error
        yield owned


@contextlib.contextmanager
def _started_or_joined(server: EmbeddedServer, title: str) -> Iterator[bool]:
    deadline = time.monotonic() + _JOIN_WITHIN_S
    while time.monotonic() < deadline:
        if server.owner.acquire():
            with _service(server, title, _PATIENCE_S), _users_first(server):
                yield True
            return
        if _join(server):
            try:
                yield False
            finally:
                server.users.release()
            return
        time.sleep(_POLL_S)
    raise ServerError(f"{server.title} of {server.data} is held by {_describe(server)} but does not answer.")


@contextlib.contextmanager
def _owned(server: EmbeddedServer, title: str) -> Iterator[bool]:
    begun, told = time.monotonic(), False
    while not server.owner.acquire():
        holder = read_owner(server.owner.path)
        if holder and holder.title == PORTAL:
            raise ServerError(f"The portal already runs on {server.data} (process {holder.pid}).")
        if not told and time.monotonic() - begun > _TELL_AFTER_S:
            told = True
            _tell(f"Waiting for {_describe(server)}, which runs {server.title} until it is done.")
        time.sleep(_POLL_S)
    with _service(server, title, _PORTAL_PATIENCE_S):
        yield True


@contextlib.contextmanager
def _service(server: EmbeddedServer, title: str, patience_s: float) -> Iterator[None]:
    try:
        server.start(title)
        yield
    finally:
        server.stop(patience_s)
        server.users.release()
        server.owner.release()


def _join(server: EmbeddedServer) -> bool:
    """Become a user of the owner's server; False while it is starting or stopping."""
    if not server.users.acquire(shared=True):
        return False
    holder = read_owner(server.owner.path)
    if holder and holder.ready and server.answers():
        return True
    server.users.release()
    return False


@contextlib.contextmanager
def _users_first(server: EmbeddedServer) -> Iterator[None]:
    """Hold the end back until those who joined have left, unless Ctrl-C says otherwise."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        _wait_for_users(server)
        raise
    _wait_for_users(server)


def _wait_for_users(server: EmbeddedServer) -> None:
    begun, told = time.monotonic(), False
    with contextlib.suppress(KeyboardInterrupt):
        while not server.users.acquire():
            if not told and time.monotonic() - begun > _TELL_AFTER_S:
                told = True
                _tell(f"Waiting for another command that uses {server.title}; Ctrl-C stops it regardless.")
            time.sleep(_POLL_S)


def _describe(server: EmbeddedServer) -> str:
    holder = read_owner(server.owner.path) or Owner(0, "", ready=False)
    return f"process {holder.pid} ({holder.title or 'unnamed'})" if holder.pid else "another process"


def holder_of(data: Path) -> str:
    """Who runs a server on this directory or on one in it, in words; empty if nobody does."""
    places = [data, *(locks.parent for locks in data.glob("*/locks"))]
    for server in (kind(place) for place in places for kind in (Postgres, Valkey)):
        for lock in (server.owner, server.alive):
            if lock.path.exists() and not lock.acquire():
                return f"{server.title}, run by {_describe(server)},"
            lock.release()
    return ""


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def needs_servers(argv: Sequence[str]) -> bool:
    """Whether this command line of manage.py opens the database."""
    command = next(iter(argv), "help")
    if command.startswith("-") or command in _WITHOUT_SERVERS or {"-h", "--help", "--version"} & set(argv):
        return False
    return command != "check" or "--database" in argv


@contextlib.contextmanager
def servers_for(argv: Sequence[str]) -> Iterator[None]:
    """Servers for one command of manage.py, joined or for its lifetime; without them exit 1 and a message."""
    if not needs_servers(argv):
        yield
        return
    try:
        with running(title=f"manage.py {argv[0]}"):
            yield
    except ServerError as error:
        _tell(str(error))
        sys.exit(1)
