"""The work process: two Celery workers and beat, forked from one loaded Django and kept running.

Two workers, because the queue `fast` must never wait behind `slow`. Threads, because a tick mostly waits
for the database and a thread costs less memory than a process. A thread for each slot of each tick: since a
tick runs once at a time by its lease, none ever waits for another, not even a delivery for a long drain.
"""

import contextlib
import os
import sys
import warnings
from functools import partial

from apps.core.embedded import die_with_parent
from reliability_portal.fork import Fork, share_memory
from reliability_portal.supervisor import GAVE_UP, Supervisor

_BEAT_PATIENCE_S, _WORK_PATIENCE_S = 1.0, 3.0
_SPARE_THREADS = 1


def main() -> int:
    """Run both workers and beat until SIGTERM; GAVE_UP when one of them keeps dying."""
    die_with_parent(os.getppid())
    threads = preload()  # a stop meanwhile simply ends us
    supervisor = Supervisor(relay=True)
    supervisor.listen()
    workers = [supervisor.keep(queue, partial(Fork, partial(work, queue, n))) for queue, n in threads.items()]
    ticking = supervisor.keep("beat", partial(Fork, beat))
    supervisor.pump(lambda: False)
    supervisor.stop([([ticking], _BEAT_PATIENCE_S), (workers, _WORK_PATIENCE_S)])
    if supervisor.failed is None:
        return 0
    supervisor.say("work", f"{supervisor.failed.name} died again and again")
    return GAVE_UP


def preload() -> dict[str, int]:
    """Load what all three need before they part; gives the threads for each queue."""
    import celery.apps.beat
    import celery.apps.worker
    import celery.concurrency.thread
    import celery.worker.consumer
    import kombu.transport.redis  # noqa: F401

    from reliability_portal.celery import FAST, SLOW, TICKS, app

    app.finalize()
    app.loader.import_default_modules()
    for tick in TICKS:
        with contextlib.suppress(ImportError):  # its own run will say so; the other ticks go on
            tick.function()
    # Celery warns of root because of pickle, which the settings refuse.
    warnings.simplefilter("ignore", celery.exceptions.SecurityWarning)
    share_memory()
    return {q: _SPARE_THREADS + sum(t.slots for t in TICKS if t.queue == q) for q in (FAST, SLOW)}


def work(queue: str, threads: int) -> None:
    """One Celery worker on one queue."""
    from reliability_portal.celery import app

    worker = app.Worker(
        hostname=f"{queue}@portal",
        queues=[queue],
        pool="threads",
        concurrency=threads,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode or 0)


def beat() -> None:
    """The clock that wakes the ticks."""
    os.environ["PORTAL_PROCESS"] = "beat"
    from reliability_portal.celery import app

    app.Beat(loglevel="WARNING", quiet=True).run()


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "worker")
    sys.exit(main())
