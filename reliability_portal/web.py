"""The web process: granian with a few forked workers that share one loaded Django."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from apps.core.embedded import die_with_parent
from apps.core.slow_bodies import MOST_SLOW
from reliability_portal.fork import share_memory

# For each worker. A few would do for pages, which mostly wait for the database; the rest are there for slow bodies.
_THREADS = 2 * MOST_SLOW
_STOP_WITHIN_S = 2


def application() -> Callable[..., Any]:
    """The WSGI application, in the worker that will serve it."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)
    from reliability_portal.wsgi import application as wsgi

    return wsgi


def preload() -> None:
    """Load what every page needs before the workers part."""
    from django.urls import get_resolver

    from reliability_portal import wsgi  # noqa: F401

    _ = get_resolver().url_patterns
    share_memory()


def main(host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM."""
    die_with_parent(os.getppid())
    preload()
    Granian(
        "reliability_portal.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=_THREADS,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_STOP_WITHIN_S,
    ).serve(target_loader=application, wrap_loader=False)


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "web")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
