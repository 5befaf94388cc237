"""The work process: two Celery workers, beat and the drains, forked from one loaded Django and kept running.

Two workers, because the queue `fast` must never wait behind `slow`. Threads, because a tick mostly waits
for the database and a thread costs less memory than a process. A thread for each slot of each tick: since a
tick runs once at a time by its lease, none ever waits for another. What computes rather than waits has a process
for each slot instead (the queue OWN): threads would share one processor, and without a broker nobody would wake it.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial

from apps.core.embedded import die_with_parent
from reliability_portal.fork import Fork, share_memory
from reliability_portal.supervisor import GAVE_UP, Child, Supervisor

_BEAT_PATIENCE_S, _WORK_PATIENCE_S = 1.0, 3.0
_SPARE_THREADS = 1


def main() -> int:
    """Run both workers and beat until SIGTERM; GAVE_UP when one of them keeps dying."""
    die_with_parent(os.getppid())
    threads, attended = preload()  # a stop meanwhile simply ends us
    supervisor = Supervisor(relay=True)
    supervisor.listen()
    workers = [_keep(supervisor, queue, partial(work, queue, n)) for queue, n in threads.items()]
    workers += [_keep(supervisor, _label(name, slot), partial(stay, name, slot)) for name, slot in attended]
    ticking = _keep(supervisor, "beat", beat)
    supervisor.pump(lambda: False)
    supervisor.stop([([ticking], _BEAT_PATIENCE_S), (workers, _WORK_PATIENCE_S)])
    if supervisor.failed is None:
        return 0
    supervisor.say("work", f"{supervisor.failed.name} died again and again")
    return GAVE_UP


def _keep(supervisor: Supervisor, name: str, run: Callable[[], None]) -> Child:
    return supervisor.keep(name, partial(Fork, run, f"portal-{name}"))


def _label(name: str, slot: int) -> str:
    """`ingest.drain` and its first slot as `drain-0`."""
    return f"{name.rpartition('.')[2]}-{slot}"


def preload() -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Load what all need before they part; gives the threads for each queue, and (tick, slot) that get a process."""
    import celery.apps.beat
    import celery.apps.worker
    import celery.concurrency.thread
    import celery.worker.consumer
    import kombu.transport.redis  # noqa: F401

    from reliability_portal.celery import FAST, OWN, SLOW, TICKS, app

    app.finalize()
    app.loader.import_default_modules()
    for tick in TICKS:
        with contextlib.suppress(ImportError):  # its own run will say so; the other ticks go on
            tick.function()
    # Celery warns of root because of pickle, which the settings refuse.
    warnings.simplefilter("ignore", celery.exceptions.SecurityWarning)
    share_memory()
    threads = {q: _SPARE_THREADS + sum(t.slots for t in TICKS if t.queue == q) for q in (FAST, SLOW)}
    return threads, [(t.name, slot) for t in TICKS if t.queue == OWN for slot in range(t.slots)]


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


def stay(name: str, slot: int) -> None:
    """A process that stays with one slot of a tick."""
    from reliability_portal.attend import attend

    attend(name, slot)


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "worker")
    sys.exit(main())
