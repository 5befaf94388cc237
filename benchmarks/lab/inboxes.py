"""Four ways to make an accepted body durable, and a process whose threads hand bodies in by one of them.

    python -m benchmarks.lab.inboxes NAME THREADS SECONDS TIMES_FILE

Started by benchmarks/inbox.py in an environment that leads to its servers: says "ready", waits for a line, hands in
for so long, writes the milliseconds of each call as doubles, and prints its CPU seconds.
"""

import os
import sys
import threading
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue

BODY_BYTES = 3000
MOST_AT_ONCE = 200
STREAM = "inbox"
# Accepts a body and returns when it is durable.
Accept = Callable[[bytes], None]


def committer() -> Accept:
    """Ours: a thread collects what waits, one COPY and one commit for all of it."""
    from apps.ingest import inbox

    def accept(body: bytes) -> None:
        inbox.accept(inbox.Entry(1, 1, body, "gzip", b'{"event_id":"0"}'))

    return accept


def commit_each() -> Accept:
    """The same row with a commit of its own, over a connection of its own for each thread."""
    from apps.ingest.connect import connect

    held = threading.local()
    insert = (
        "INSERT INTO ingest_inboxentry (received_at, project_id, kind, coding, context, body, attempts) "
        "VALUES (now(), 1, 1, 'gzip', '{\"event_id\":\"0\"}', %s, 0)"
    )

    def accept(body: bytes) -> None:
        if not hasattr(held, "connection"):
            held.connection = connect("benchmark", patience_ms=8000)
        held.connection.execute(insert, [body])

    return accept


def stream() -> Accept:
    """An append to a stream of Valkey, which answers after its fsync (the benchmark sets appendfsync always)."""
    import redis
    from django.conf import settings

    client = redis.Redis.from_url(str(settings.CACHES["default"]["LOCATION"]), max_connections=64)

    def accept(body: bytes) -> None:
        client.xadd(STREAM, {"project": 1, "kind": 1, "coding": "gzip", "body": body})

    return accept


def spool() -> Accept:
    """A file of this process: a thread collects what waits, one write and one fdatasync for all of it."""
    file = os.open(
        Path(os.environ["PORTAL_DATA_DIR"]) / f"spool-{os.getpid()}",
        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        0o600,
    )
    waiting: SimpleQueue[tuple[bytes, Future[None]]] = SimpleQueue()

    def run() -> None:
        while True:
            group = [waiting.get()]
            try:
                while len(group) < MOST_AT_ONCE:
                    group.append(waiting.get_nowait())
            except Empty:
                pass
            os.write(file, b"".join(len(body).to_bytes(4, "little") + body for body, _ in group))
            os.fdatasync(file)
            for _, done in group:
                done.set_result(None)

    threading.Thread(target=run, daemon=True).start()

    def accept(body: bytes) -> None:
        done: Future[None] = Future()
        waiting.put((body, done))
        done.result()

    return accept


KINDS: dict[str, Callable[[], Accept]] = {
    "committer": committer,
    "stream": stream,
    "spool": spool,
    "commit-each": commit_each,
}


def hand_in(accept: Accept, until: float, times: "array[float]") -> None:
    """One thread: body after body until the moment (of time.monotonic) has come."""
    body = os.urandom(BODY_BYTES)
    while (begun := time.monotonic()) < until:
        accept(body)
        times.append((time.monotonic() - begun) * 1000)


def main(arguments: list[str]) -> None:
    """See the module."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")
    django.setup()
    name, threads, seconds, file = arguments[0], int(arguments[1]), float(arguments[2]), Path(arguments[3])
    accept = KINDS[name]()
    accept(b"the first one opens connections")
    print("ready", flush=True)
    sys.stdin.readline()
    spent, until = time.process_time(), time.monotonic() + seconds
    times = [array("d") for _ in range(threads)]
    running = [threading.Thread(target=hand_in, args=(accept, until, some)) for some in times]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    file.write_bytes(b"".join(some.tobytes() for some in times))
    print(time.process_time() - spent, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
