"""File locks that decide who may start a server, who uses it, and whether an old one still lives.

Three files for each server, below `locks` in the data directory:

- `<name>.owner`: held by the process that started the server, for as long as it answers for it.
- `<name>.users`: shared by the processes that joined; the owner takes it alone before it stops the server.
- `<name>.alive`: inherited by the server and all its children, so it is free only when the last of them is
  gone.

The kernel drops a lock with its last holder: nothing is ever stale, whatever was killed.
"""

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class FileLock:
    """An advisory lock on one file. Not re-entrant; closing or dying releases it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free now; never waits."""
        if self._fd is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let go. Where a child inherited the lock, it stays taken until that child ends."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def held(self) -> bool:
        """Whether we hold it."""
        return self._fd is not None

    def fileno(self) -> int:
        """Descriptor of the held lock, to be inherited by a child."""
        if self._fd is None:
            raise ValueError(f"{self.path} is not held")
        return self._fd

    def write(self, text: str) -> None:
        """Replace the file's text; readers need no lock."""
        os.truncate(self.fileno(), 0)
        os.pwrite(self.fileno(), text.encode(), 0)


@dataclass(frozen=True)
class Owner:
    """What the owner of a server tells others about itself."""

    pid: int
    title: str
    ready: bool

    def text(self) -> str:
        """Three lines for the owner's lock file."""
        return f"{self.pid}\n{self.title}\n{'ready' if self.ready else 'starting'}\n"


def read_text(path: Path) -> str:
    """Text of a small file; empty if it is not there."""
    try:
        return path.read_text()
    except OSError:
        return ""


def read_owner(path: Path) -> Owner | None:
    """What stands in an owner's lock file; None if it is being written or was never."""
    try:
        pid, title, state = read_text(path).splitlines()
        return Owner(int(pid), title, state == "ready")
    except ValueError:
        return None


def holders(path: Path) -> list[int]:
    """Process ids, other than ours, that have this file open: who keeps a lock that we cannot get."""
    if sys.platform != "linux":
        found = subprocess.run(
            ["lsof", "-t", str(path)], capture_output=True, text=True, check=False
        ).stdout.split()
        return [int(pid) for pid in found if int(pid) != os.getpid()]
    target = os.path.realpath(path)
    return [pid for pid in _linux_processes() if pid != os.getpid() and _has_open(pid, target)]


def _linux_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _has_open(pid: int, target: str) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(f"{folder}/{fd}") == target for fd in os.listdir(folder))
    except OSError:  # somebody else's, or gone meanwhile
        return False
