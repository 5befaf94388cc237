"""The limit of accepting: a web server like ours whose application reads the body and answers."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apps.core.embedded.paths import PROJECT_DIR
from benchmarks.lab import gauges
from benchmarks.lab.client import Aim
from benchmarks.lab.portal import answers, free_port

_READY_WITHIN_S = 30
_ANSWER = b'{"id":"00000000000000000000000000000000"}'


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Nothing is looked at and nothing kept."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_ANSWER)))])
    return [_ANSWER]


@contextlib.contextmanager
def running_empty() -> Iterator[tuple[Aim, gauges.Parts]]:
    """Serve it by granian with two workers: where to send to, and its processes."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "4", "--host",
        "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "error", "benchmarks.lab.empty:application",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=PROJECT_DIR)
    try:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not answers(f"http://127.0.0.1:{port}/"):
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError("granian did not start")
            time.sleep(0.1)
        yield Aim(port, "/", {}), lambda: {"web": gauges.tree(server.pid)}
    finally:
        server.terminate()
        server.wait(10)
