"""Everything that `manage.py up` runs, in the order in which it starts and stops.

PostgreSQL, Valkey → migrate → demo → web, workers, beat. Run as a process of its own, without Django: it
lives as long as the portal and would otherwise keep the whole framework in memory only to watch others.
"""

import argparse
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.core import embedded
from reliability_portal.supervisor import Program, Supervisor, ending

PROJECT_DIR = Path(__file__).resolve().parent.parent
_ANSWER_RETRY_S, _ANSWER_TIMEOUT_S = 0.2, 0.5
# Together with the servers below ten seconds: nobody should wait longer after Ctrl-C. The work process has
# its own two steps within its time.
_PATIENCE_S = 7.0  # for all that the house ends in its own order
# Threads would otherwise each reserve an arena and never give it back.
_LESS_MEMORY = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the portal until it is stopped; 0 after a stop that was asked for, 1 with a message otherwise."""
    parser = argparse.ArgumentParser(prog="manage.py up")
    parser.add_argument("--demo", action="store_true", help="load the demo story into an empty database")
    options = parser.parse_args(argv)
    host, port = os.environ.get("HOST") or "127.0.0.1", int(os.environ.get("PORT") or 8000)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the supervisor listens
    try:
        check_port(host, port)
        with embedded.running(title="up", own=True) as servers:
            return run(servers, host, port, demo=options.demo)
    except embedded.ServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def run(servers: Sequence[embedded.EmbeddedServer], host: str, port: int, *, demo: bool) -> int:
    """Everything between the start of the servers and their end."""
    supervisor = Supervisor()
    supervisor.listen()
    for server in servers:
        supervisor.adopt(server)
    steps = [manage("migrate", "migrate", "--no-input", "--verbosity", "0")]
    steps += [manage("demo", "demo", "--if-empty")] if demo else []
    for step in steps:
        code = supervisor.run(step)
        if code:
            supervisor.say("portal", f"{step.name} {ending(code)}: the portal does not start.")
            return 1
    if not supervisor.over:
        house = supervisor.add(house_program(host, port))
        announce(supervisor, host, port)
        supervisor.pump(lambda: False)
        supervisor.stop([([house], _PATIENCE_S)])
    return report(supervisor)


def announce(supervisor: Supervisor, host: str, port: int) -> None:
    """Wait until the first page is served, then say where."""
    while not answers(host, port):
        supervisor.pump(lambda: supervisor.over, _ANSWER_RETRY_S)
        if supervisor.over:
            return
    for line in welcome(host, port):
        supervisor.say("portal", line)


def answers(host: str, port: int) -> bool:
    """Whether the web server sends anything back: it listens before it has loaded the portal."""
    request = f"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((_reachable(host), port), timeout=_ANSWER_TIMEOUT_S) as client:
            client.sendall(request.encode())
            return bool(client.recv(1))
    except OSError:
        return False


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what to connect to, not to bind


def report(supervisor: Supervisor) -> int:
    """Exit code; after a failure also who failed, with its last words."""
    if supervisor.failed is None:
        supervisor.say("portal", "stopped")
        return 0
    failed = supervisor.failed
    sys.stderr.write(f"\n{failed.name} died again and again, so the portal stopped. Its last words:\n")
    sys.stderr.write(f"{failed.last_words()}\n")
    return 1


def manage(name: str, *arguments: str) -> Program:
    """A command of manage.py."""
    return Program(name, [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments])


def house_program(host: str, port: int) -> Program:
    """Web, worker and drains; WEB_WORKERS web processes, by default two where there are two processors."""
    workers = os.environ.get("WEB_WORKERS") or str(min(2, os.cpu_count() or 1))
    command = [sys.executable, "-m", "reliability_portal.house", host, str(port), workers]
    return Program("house", command, {"PORTAL_PROCESS": "worker", **_LESS_MEMORY}, relays=True)


def check_port(host: str, port: int) -> None:
    """Raise ServerError if somebody listens there already, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"Port {port} is taken. Choose another one: PORT={port + 1} make run"
            else:
                reason = f"The portal cannot listen on {host}, port {port}: {error.strerror}."
            raise embedded.ServerError(reason) from error


def welcome(host: str, port: int) -> list[str]:
    """What a newcomer needs: the address, and what the demo wrote down (logins, a DSN, a curl line)."""
    site = os.environ.get("SITE_URL") or f"http://{host}:{port}"
    written = embedded.data_dir() / "welcome.txt"
    lines = written.read_text().splitlines() if written.exists() else []
    return ["", f"The portal answers on {site}", *lines, "Ctrl-C stops it; the data stay.", ""]


if __name__ == "__main__":
    sys.exit(main())
