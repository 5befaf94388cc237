"""The life of one embedded server: begin, answer, begin again after a crash, stop."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from apps.core.embedded.locks import FileLock, Owner, holders
from apps.core.embedded.paths import socket_dir
from apps.core.embedded.process import Account, ServerError, choose_account, spawn

_POLL_S = 0.03
_READY_WITHIN_S = 300  # recovery after a crash can take long
_SLOW_AFTER_S = 5
_LOG_BYTES = 10 * 1024 * 1024
# An old server that outlived its owner: asked to stop, then told, then killed. All three are safe for the
# data.
_REMNANT_STEPS_S = ((1.0, None), (8.0, signal.SIGTERM), (20.0, signal.SIGKILL))
MARK = "portal-data.txt"


class EmbeddedServer(ABC):
    """One server on one data directory. Use it through `sharing`, which decides who may start it."""

    name: str
    title: str
    stop_signal: int

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sockets = socket_dir(data)
        self.log_path = data / "log" / f"{self.name}.log"
        self.account = Account()
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = FileLock(data / "locks" / f"{self.name}.owner")
        self.users = FileLock(data / "locks" / f"{self.name}.users")
        self.alive = FileLock(data / "locks" / f"{self.name}.alive")
        self._waiting_since = 0.0
        self._steps_taken = 0

    # What a kind of server says about itself
    @property
    @abstractmethod
    def home(self) -> Path:
        """Directory with this server's files."""

    @abstractmethod
    def check(self) -> Path:
        """The server's program. ServerError if it cannot run here: no binaries, another version's files."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what must exist before the server starts. Holds the `alive` lock."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The server's command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client would be served now."""

    def furnish(self) -> None:  # noqa: B027 - most servers need nothing
        """Make what must exist inside the running server. Idempotent."""

    # Begin
    def start(self, title: str) -> None:
        """Start and wait until it answers; the owner's lock is held by the caller. Raises ServerError."""
        self.owner.write(Owner(os.getpid(), title, ready=False).text())
        program = self.check()
        self._make_directories()
        for path in (program, self.home, self.sockets):
            self.account.check_reach(path)
        while not self.launch():
            time.sleep(_POLL_S)
        self._wait_until_ready()
        self.furnish()
        self.owner.write(Owner(os.getpid(), title, ready=True).text())

    def launch(self) -> bool:
        """Start the process without waiting; False while remnants of an old one still hold the directory."""
        if not self.alive.acquire():
            self._end_remnants()
            return False
        self._waiting_since, self._steps_taken = 0.0, 0
        self.prepare()
        with self.open_log() as log:
            self.process = spawn(
                self.command(),
                account=self.account,
                death_signal=self.stop_signal,
                output=log.fileno(),
                keep=[self.alive.fileno()],
                env=self.environment(),
            )
        self.alive.release()  # now held by the server alone
        return True

    def run_tool(self, command: Sequence[str | Path], *, account: Account | None = None) -> bool:
        """Run one of the server's own programs to its end, output to the log; whether it succeeded.

        An inherited `alive` lock keeps others off the directory should we die before the program does.
        """
        keep = [self.alive.fileno()] if self.alive.held else []
        with self.open_log() as log:
            tool = spawn(command, account=account, output=log.fileno(), keep=keep, env=self.environment())
        return tool.wait() == 0

    def environment(self) -> dict[str, str]:
        """Ours without what would redirect the server or its programs."""
        return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}

    def open_log(self) -> BinaryIO:
        """The server's log, for appending; set aside once it is large."""
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return self.log_path.open("ab")

    def log_tail(self, lines: int = 12) -> str:
        """Last lines of the log, under its path."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join([f"{self.log_path} ends:", *("  " + line for line in text.splitlines()[-lines:])])

    def _make_directories(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        mark = self.data / MARK
        if not mark.exists():
            mark.write_text(
                "Data, sockets and logs of a reliability portal. `make reset` deletes this directory.\n"
            )
        self.account = choose_account(self.home)
        self.log_path.parent.mkdir(mode=0o700, exist_ok=True)
        self._make_private(self.sockets)
        if self.sockets.parent != self.data:
            (self.data / "run.path").write_text(f"{self.sockets}\n")

    def _make_private(self, path: Path) -> None:
        """Directory for us and the server alone: trust over the socket is only as good as this."""
        path.mkdir(mode=0o700, exist_ok=True)
        info = path.lstat()
        if path.is_symlink() or info.st_uid not in {os.geteuid(), self.account.uid, self.data.stat().st_uid}:
            raise ServerError(f"{path} belongs to somebody else. Set PORTAL_DATA_DIR to a shorter path.")
        path.chmod(0o700)
        self.account.give(path)

    def adopt_home(self) -> None:
        """Hand the server's files to its account, where an earlier start left them to another."""
        if self.account.uid is not None and self.home.stat().st_uid != self.account.uid:
            for folder, _, files in os.walk(self.home):
                for path in (Path(folder), *(Path(folder, name) for name in files)):
                    self.account.give(path)

    def _end_remnants(self) -> None:
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        while self._steps_taken < len(_REMNANT_STEPS_S):
            after_s, sig = _REMNANT_STEPS_S[self._steps_taken]
            if now - self._waiting_since < after_s:
                return
            self._steps_taken += 1
            for pid in holders(self.alive.path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig or self.stop_signal)
        if now - self._waiting_since > _READY_WITHIN_S:
            raise ServerError(f"An earlier {self.title} still holds {self.home}: {holders(self.alive.path)}.")

    def _wait_until_ready(self) -> None:
        begun, told = time.monotonic(), False
        while not self.answers():
            waited = time.monotonic() - begun
            if self.process is None or self.process.poll() is not None:
                raise ServerError(f"{self.title} did not start.\n{self.log_tail()}")
            if waited > _READY_WITHIN_S:
                raise ServerError(
                    f"{self.title} does not answer after {_READY_WITHIN_S} s.\n{self.log_tail()}"
                )
            if waited > _SLOW_AFTER_S and not told:
                told = True
                sys.stderr.write(f"{self.title} is still starting (after a crash it recovers first) ...\n")
            time.sleep(_POLL_S)

    # End
    def stop(self, within_s: float) -> None:
        """Stop in order; after `within_s` quickly, which costs a recovery at the next start but no data."""
        if self.process is None or self.process.poll() is not None:
            return
        for sig, patience_s in ((self.stop_signal, within_s), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 5.0)):
            self.process.send_signal(sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
                return


def find_program(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """First of these programs that really runs here, in the given folders before those on PATH."""
    on_path = [Path(found) for name in names if (found := shutil.which(name))]
    for program in [*(folder / name for folder in folders for name in names), *on_path]:
        if program.is_file() and version_text(program):
            return program
    return None


def version_text(program: Path) -> str:
    """What `program --version` prints; empty if it cannot run here."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
