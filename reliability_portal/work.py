"""The work process: a Celery worker with beat on a thread, and the drains, forked from one loaded Django and kept up.

Threads, because a tick mostly waits for the database and a thread costs less memory than a process. A thread for each
slot of each tick: since a tick runs once at a time by its lease, none ever waits for another, so that one worker may
take both queues. (On a large installation each queue has a worker of its own.) What computes rather than waits has a
process for each slot instead (the queue OWN): threads would share one processor, and without a broker nobody would
wake it.
"""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial

from apps.core.embedded import die_with_parent
from reliability_portal.fork import Fork, share_memory
from reliability_portal.supervisor import GAVE_UP, Child, Supervisor

_WORK_PATIENCE_S, _BEAT_PATIENCE_S = 3.0, 1.0
_SPARE_THREADS = 2


def main() -> int:
    """Run the worker, beat and the drains until SIGTERM; GAVE_UP when one of them keeps dying."""
    die_with_parent(os.getppid())
    load()  # a stop meanwhile simply ends us
    share_memory()
    supervisor = Supervisor(relay=True)
    supervisor.listen()
    kept = keep(supervisor)
    supervisor.pump(lambda: False)
    supervisor.stop([(kept, _WORK_PATIENCE_S)])
    if supervisor.failed is None:
        return 0
    supervisor.say("work", f"{supervisor.failed.name} died again and again")
    return GAVE_UP


def _keep(supervisor: Supervisor, name: str, run: Callable[[], None]) -> Child:
    return supervisor.keep(name, partial(Fork, run, f"portal-{name}"))


def _label(name: str, slot: int) -> str:
    """`ingest.drain` and its first slot as `drain-0`."""
    return f"{name.rpartition('.')[2]}-{slot}"


def keep(supervisor: Supervisor) -> list[Child]:
    """Start the worker and a process for each slot of what computes, and keep them running."""
    from reliability_portal.celery import OWN, TICKS

    threads = _SPARE_THREADS + sum(tick.slots for tick in TICKS if tick.queue != OWN)
    attended = [(tick.name, slot) for tick in TICKS if tick.queue == OWN for slot in range(tick.slots)]
    kept = [_keep(supervisor, "worker", partial(work, threads))]
    return kept + [
        _keep(supervisor, _label(name, slot), partial(stay, name, slot)) for name, slot in attended
    ]


def load() -> None:
    """Load what all of them need, before they part."""
    import celery.apps.worker
    import celery.beat
    import celery.concurrency.thread
    import celery.worker.consumer
    import kombu.transport.redis  # noqa: F401

    from reliability_portal.celery import TICKS, app

    app.finalize()
    app.loader.import_default_modules()
    for tick in TICKS:
        with contextlib.suppress(ImportError):  # its own run will say so; the other ticks go on
            tick.function()
    # Celery warns of root because of pickle, which the settings refuse.
    warnings.simplefilter("ignore", celery.exceptions.SecurityWarning)


def work(threads: int) -> None:
    """The Celery worker, with beat beside it."""
    from reliability_portal.celery import FAST, SLOW, app

    beat = Beat()
    worker = app.Worker(
        hostname="work@portal",
        queues=[FAST, SLOW],
        pool="threads",
        concurrency=threads,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    beat.start()
    worker.start()
    beat.stop()
    sys.exit(worker.exitcode or 0)


class Beat(threading.Thread):
    """The clock that wakes the ticks. Should it end by itself, so does the process, which is then begun anew."""

    def __init__(self) -> None:
        """The schedule is read when it starts."""
        from celery.beat import Service

        from reliability_portal.celery import CLOCK, app

        super().__init__(name=CLOCK, daemon=True)
        self._service = Service(app)
        self._asked = False

    def run(self) -> None:
        """Until stopped."""
        try:
            self._service.start()
        finally:
            if not self._asked:
                os.kill(os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        """Wait for its schedule to be put away, not for long."""
        self._asked = True
        self._service.stop(wait=False)
        self.join(_BEAT_PATIENCE_S)


def stay(name: str, slot: int) -> None:
    """A process that stays with one slot of a tick."""
    from reliability_portal.attend import attend

    attend(name, slot)


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "worker")
    sys.exit(main())
