"""A whole portal of its own for a test: the processes of `make run` in a fresh data directory on a free port."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from tests.core.processes import PROJECT, environment, free_port, make_data_dir
from tests.loop import migrated

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Portal:
    """A running portal: its address, its files, its commands and its processes."""

    data: Path
    port: int
    variables: dict[str, str]
    up: "subprocess.Popen[bytes]"

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        """Output of one command of manage.py, which joins the running servers."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT, env=self.variables, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def ask(self, code: str) -> object:
        """What a piece of code with the models at hand prints as JSON."""
        return json.loads(self.manage("shell", "--verbosity", "0", "-c", code).splitlines()[-1])

    def post(self, path: str, body: object = None, **headers: str) -> tuple[int, dict]:
        """Status and JSON answer of a POST."""
        request = urllib.request.Request(
            self.site + path, data=json.dumps(body).encode(), method="POST",
            headers={"Content-Type": "application/json", **headers},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def mails(self) -> list[dict[str, str]]:
        """Mail that was kept as files, oldest first."""
        messages = [
            message_from_bytes(f.read_bytes(), policy=policy.default)
            for f in sorted((self.data / "mail").glob("*.eml"))
        ]
        return [
            {"to": m["To"], "subject": m["Subject"], "text": m.get_body(("plain",)).get_content()}
            for m in messages
        ]

    def pids(self, *words: str) -> list[int]:
        """Its processes whose command line holds all these words."""
        return [
            pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if self._is_ours(pid, words)
        ]

    def _is_ours(self, pid: int, words: tuple[str, ...]) -> bool:
        """By environment, arguments or working directory: servers rewrite the first two."""
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{pid}")
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            place = f"{line} {(process / 'cwd').readlink()} ".encode() + (process / "environ").read_bytes()
            return os.fsencode(self.data) in place and all(word in line for word in words)
        return False

    def named(self, name: str) -> list[int]:
        """Its processes that `ps` shows under this name."""
        return [pid for pid in self.pids() if _name_of(pid) == name]

    def kill(self, *words: str) -> int:
        """SIGKILL to all of them at once; how many there were."""
        return send(signal.SIGKILL, self.pids(*words))


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def send(signal_: int, pids: list[int]) -> int:
    """Send it to all of them; how many heard it."""
    heard = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_)
            heard += 1
    return heard


def eventually(condition: Callable[[], object], what: str, within_s: float = 30) -> object:
    """The first true value; fails with its name when none comes in time."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {within_s} s in vain: {what}"
        time.sleep(0.25)


def answers(site: str) -> bool:
    """Whether the web server answers."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{site}/api/live", timeout=2).status == 200
    return False


@contextlib.contextmanager
def running_portal(**more: str) -> Iterator[Portal]:
    """Start one, wait for its first page, stop it by SIGTERM."""
    with make_data_dir() as data:
        port = free_port()
        variables = environment(data, PORT=str(port), **more)
        migrated.copy_to(data)
        with (data / "up.log").open("wb") as log:
            up = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=PROJECT, env=variables, stdout=log, stderr=log
            )
        portal = Portal(data, port, variables, up)
        try:
            eventually(lambda: up.poll() is not None or answers(portal.site), "the first page", 240)
            assert up.poll() is None, (data / "up.log").read_text()[-3000:]
            yield portal
        finally:
            up.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                up.wait(20)
