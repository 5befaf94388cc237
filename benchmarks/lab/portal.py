"""A whole portal of its own to measure: the processes of `make run` in a scratch directory on a free port, no demo."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg

from apps.core.embedded.paths import APP_ROLE, DATABASE, OWNER_ROLE, PROJECT_DIR, socket_dir
from benchmarks.lab import gauges
from benchmarks.lab.client import Aim

KEY = "0123456789abcdef0123456789abcdef"
ASKED = ("DATABASE_URL", "REDIS_URL", "DATABASE_OWNER_URL", "PORT", "HOST", "SITE_URL", "PORTAL_ENV", "DEBUG")
_FIRST_PAGE_WITHIN_S = 240
_STOP_WITHIN_S = 20
_MAKE_PROJECT = (
    "from apps.projects.services import create_project\n"
    "print(create_project(name='Benchmark', key='{key}').pk)"
)
PARTS = {"house": "reliability_portal.house", "Valkey": "valkey"}
NAMES = {"portal-web": "web", "portal-drain": "drain", "portal-worker": "work"}


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A directory that the servers' own user may enter, removed at the end."""
    root = Path(tempfile.mkdtemp(prefix=f"portal-bench-{name}-")).resolve()
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, **more: str) -> dict[str, str]:
    """Ours without what would lead to another portal."""
    mine = {k: v for k, v in os.environ.items() if k not in ASKED}
    # Every event whole, however fast they come: what is measured is all the work there is.
    ours = {"PORTAL_DATA_DIR": str(data), "PORTAL_DEMO": "0", "SPIKE_PROTECTION": "false"}
    return {**mine, **ours, **more}


def database_url(data: Path, role: Literal["app", "owner"] = "app") -> str:
    """The embedded database of a data directory."""
    user = {"app": APP_ROLE, "owner": OWNER_ROLE}[role]
    return f"postgresql://{user}@{quote(str(socket_dir(data)), safe='')}/{DATABASE}"


def _part_of(name: str) -> str:
    """What a process of the house is by the name that `ps` shows; what has none supervises."""
    return next((part for word, part in NAMES.items() if name.startswith(word)), "supervisor")


@dataclass
class Portal:
    """A running portal with one project."""

    data: Path
    port: int
    up: "subprocess.Popen[bytes]"
    variables: dict[str, str]
    project_id: int = 0

    def __post_init__(self) -> None:
        self._connection: psycopg.Connection | None = None

    def manage(self, *arguments: str) -> str:
        """Output of one command of manage.py, which joins the running servers."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=PROJECT_DIR, env=self.variables, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def ask(self, sql: str) -> Any:
        """The first value of a query."""
        if self._connection is None:
            self._connection = psycopg.connect(database_url(self.data), autocommit=True)
        row = self._connection.execute(sql).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None

    def queryable(self) -> int:
        """Events that a page can show: groups count an event in the transaction that stores it."""
        return int(self.ask("SELECT coalesce(sum(event_count), 0) FROM errors_errorgroup"))

    def stored(self) -> int:
        """Rows of events, counted one by one."""
        return int(self.ask("SELECT count(*) FROM errors_errorevent"))

    def waiting(self) -> int:
        """Entries of the inbox."""
        return int(self.ask("SELECT count(*) FROM ingest_inboxentry"))

    def parts(self) -> dict[str, list[int]]:
        """Process ids of web, drain, work (worker and beat), supervisors, PostgreSQL and Valkey."""
        found: dict[str, list[int]] = {"web": [], "drain": [], "work": [], "supervisor": [self.up.pid]}
        for pid in gauges.children().get(self.up.pid, []):
            line = gauges.command_line(pid)
            name = next((part for part, word in PARTS.items() if word in line), "PostgreSQL")
            found[name] = gauges.tree(pid)
        for pid in found.pop("house", []):
            found[_part_of(gauges.name(pid))].append(pid)
        return found

    def aim(self, path: str, **headers: str) -> Aim:
        """A door of this portal with the project's key."""
        auth = f"Sentry sentry_version=7, sentry_key={KEY}, sentry_client=sentry.python/2.0"
        return Aim(self.port, path, {"X-Sentry-Auth": auth, **headers})

    def close(self) -> None:
        """Stop every process."""
        if self._connection is not None:
            self._connection.close()
        pids = gauges.tree(self.up.pid)
        self.up.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.up.wait(_STOP_WITHIN_S)
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.up.wait()


@contextlib.contextmanager
def running_portal(**more: str) -> Iterator[Portal]:
    """Start one, wait for its first page, make its project; stop it and remove its data afterwards."""
    with scratch("portal") as root:
        data, port = root / "data", free_port()
        data.mkdir()
        variables = environment(data, PORT=str(port), **more)
        with (root / "up.log").open("wb") as log:
            command = [sys.executable, "manage.py", "up", "--no-demo"]
            up = subprocess.Popen(command, cwd=PROJECT_DIR, env=variables, stdout=log, stderr=log)
        portal = Portal(data, port, up, variables)
        try:
            _wait_for_first_page(portal, root / "up.log")
            made = portal.manage("shell", "--verbosity", "0", "-c", _MAKE_PROJECT.format(key=KEY))
            portal.project_id = int(made.splitlines()[-1])
            yield portal
        finally:
            portal.close()


def _wait_for_first_page(portal: Portal, log: Path) -> None:
    deadline = time.monotonic() + _FIRST_PAGE_WITHIN_S
    while not answers(f"http://127.0.0.1:{portal.port}/api/live"):
        if portal.up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the portal did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.25)


def answers(url: str) -> bool:
    """Whether anybody answers there with 200."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)
    return False
