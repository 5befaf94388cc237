"""The peer: Bugsink as its own guide sets up a single server (SQLite, gunicorn, its task runner), without quotas."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.core.embedded.paths import PROJECT_DIR
from benchmarks.lab import gauges
from benchmarks.lab.client import Aim
from benchmarks.lab.portal import KEY, answers, free_port, scratch

# Kept between runs: it is built from a package index once. What it stores goes elsewhere and is removed.
VENV = PROJECT_DIR / "var" / "benchmarks" / "bugsink"
_READY_WITHIN_S, _STOP_WITHIN_S = 90, 15
# By default it drops what exceeds 1,000 events in 5 minutes, after having accepted it.
_UNLIMITED = """
for span in ("5_MINUTES", "HOUR", "MONTH"):
    BUGSINK[f"MAX_EVENTS_PER_{span}"] = BUGSINK[f"MAX_EVENTS_PER_PROJECT_PER_{span}"] = 10**9
BUGSINK["PHONEHOME"] = False
"""
_MAKE_PROJECT = """
import uuid
from projects.models import Project
from teams.models import Team
project = Project(name="Benchmark", team=Team.objects.create(name="Benchmark"), retention_max_event_count=10**8,
                  sentry_key=uuid.UUID("{key}"))
project.save()
print("project", project.pk)
"""


class PeerNotAvailable(Exception):
    """It could not be installed or started; says why."""


@dataclass
class Bugsink:
    """A running Bugsink with one project."""

    data: Path
    port: int
    variables: dict[str, str]
    version: str
    project_id: int = 0
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def manage(self, *arguments: str, said: str = "") -> str:
        """Output of one of its commands, or PeerNotAvailable with what it said."""
        return _run([VENV / "bin/bugsink-manage", *arguments], cwd=self.data, env=self.variables, input=said)

    def queryable(self) -> int:
        """Events that its pages can show."""
        uri = f"file:{self.data / 'db.sqlite3'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            (n,) = connection.execute("SELECT sum(stored_event_count) FROM projects_project").fetchone()
        return n or 0

    stored = queryable

    def parts(self) -> dict[str, list[int]]:
        """Process ids of web and work (its task runner)."""
        return {name: gauges.tree(program.pid) for name, program in self.programs.items()}

    def aim(self, **headers: str) -> Aim:
        """Its envelope door."""
        auth = f"Sentry sentry_version=7, sentry_key={KEY}, sentry_client=sentry.python/2.0"
        return Aim(self.port, f"/api/{self.project_id}/envelope/", {"X-Sentry-Auth": auth, **headers})

    def start(self) -> None:
        """Task runner and web, two workers as ours has."""
        bind = f"--bind=127.0.0.1:{self.port}"
        commands = {
            "work": [VENV / "bin/bugsink-runsnappea"],
            "web": [VENV / "bin/gunicorn", bind, "--workers=2", "--timeout=60", "bugsink.wsgi"],
        }
        for name, command in commands.items():
            with (self.data / f"{name}.log").open("wb") as log:
                self.programs[name] = subprocess.Popen(
                    list(map(str, command)), cwd=self.data, env=self.variables, stdout=log, stderr=log
                )
        deadline = time.monotonic() + _READY_WITHIN_S
        while not answers(f"http://127.0.0.1:{self.port}/accounts/login/"):
            if time.monotonic() > deadline or any(p.poll() is not None for p in self.programs.values()):
                said = "".join((self.data / f"{name}.log").read_text()[-500:] for name in commands)
                raise PeerNotAvailable(f"it did not start: {said}")
            time.sleep(0.25)

    def close(self) -> None:
        """Stop both."""
        for program in self.programs.values():
            program.terminate()
        for program in self.programs.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(_STOP_WITHIN_S)
            program.kill()
            program.wait()


def installed() -> str:
    """Its version, after installing it on first use. Raises PeerNotAvailable."""
    python = VENV / "bin/python"
    asked = [python, "-c", "from importlib.metadata import version; print(version('bugsink'))"]
    with contextlib.suppress(PeerNotAvailable, OSError):
        return _run(asked)
    shutil.rmtree(VENV, ignore_errors=True)
    _run([sys.executable, "-m", "venv", VENV])
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "bugsink", "gunicorn"])
    return _run(asked)


@contextlib.contextmanager
def running_bugsink() -> Iterator[Bugsink]:
    """Start one on a fresh database; stop it and remove its data afterwards. Raises PeerNotAvailable."""
    version = installed()
    with scratch("bugsink") as data:
        variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "bugsink_conf"}
        peer = Bugsink(data, free_port(), variables, version)
        conf = data / "bugsink_conf.py"
        options = ["--template=singleserver", "--host=127.0.0.1", f"--base-dir={data}", "-o", str(conf)]
        _run([VENV / "bin/bugsink-create-conf", *options])
        conf.write_text(conf.read_text() + _UNLIMITED)
        peer.manage("migrate")
        peer.manage("migrate", "--database=snappea")
        made = peer.manage("shell", said=_MAKE_PROJECT.format(key=uuid.UUID(KEY)))
        peer.project_id = int(made.rsplit("project ", 1)[1].split()[0])
        try:
            peer.start()
            yield peer
        finally:
            peer.close()


def _run(command: list[Any], **more: Any) -> str:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    except OSError as error:
        raise PeerNotAvailable(str(error)) from error
    if done.returncode:
        raise PeerNotAvailable(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.strip()
