"""The web server: granian with a few forked workers that share one loaded portal."""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import mp as granian_workers

from apps.core import slow_bodies
from apps.core.embedded import die_with_parent
from reliability_portal.fork import share_memory

# For each worker. Begun when needed: slow bodies may hold most of them, and these are left for everybody else.
_THREADS = slow_bodies.MOST_SLOW + 16
_STOP_WITHIN_S = 2
_HEADERS_MAX = 64 * 1024  # bytes of a request's first line and header lines together


def application() -> Callable[..., Any]:
    """The WSGI application, in the worker that will serve it."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)
    from reliability_portal.wsgi import application as wsgi

    stand_guard()
    return wsgi


def stand_guard() -> None:
    """The watchdog of the pager on a thread here: the workers, which it watches, may be gone altogether."""
    from apps.alerts.watchdog import looking
    from apps.core.ticks import database_now

    never = threading.Event()
    guard = partial(looking.stand_guard, database_now, never.wait)
    threading.Thread(target=guard, name="portal-watchdog", daemon=True).start()


def _with_protocol(*arguments: Any) -> Callable[[Any, dict[str, Any]], Any]:
    """The server's own call of a WSGI application, which then finds in its environ what answers the request.

    WSGI has no word for an answer from another thread than the one that waits for the body (see slow_bodies).
    """
    call = _call_of(*arguments)

    def with_protocol(protocol: Any, scope: dict[str, Any]) -> Any:
        scope[slow_bodies.PROTOCOL] = protocol
        return call(protocol, scope)

    return with_protocol


_call_of = granian_workers._wsgi_call_wrap


def load() -> None:
    """Load what every page needs, before processes part."""
    from django.urls import get_resolver

    from reliability_portal import wsgi  # noqa: F401

    _ = get_resolver().url_patterns


def main(host: str, port: int, workers: int) -> None:
    """A web server by itself, until SIGTERM."""
    die_with_parent(os.getppid())
    load()
    share_memory()
    serve(host, port, workers)


def serve(host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM, once everything is loaded."""
    from django.conf import settings

    granian_workers._wsgi_call_wrap = _with_protocol  # type: ignore[assignment]
    server = Granian(
        "reliability_portal.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,  # what proxies and SDKs speak: the other one would be a second set of limits to guard
        http1_settings=HTTP1Settings(
            header_read_timeout=min(settings.BODY_DEADLINE_S, 60) * 1000, max_buffer_size=_HEADERS_MAX
        ),
        websockets=False,
        workers=workers,
        blocking_threads=_THREADS,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_STOP_WITHIN_S,
    )
    logging.getLogger("_granian").addFilter(_says_something)
    server.serve(target_loader=application, wrap_loader=False)


def _says_something(record: logging.LogRecord) -> bool:
    """Not the advice against many threads: the server's own count of them is meant."""
    return "Python threads" not in record.getMessage()


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "web")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
