"""How the tests of the embedded servers and of `up` start, find and end processes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LINUX = sys.platform == "linux"
PATIENCE_S = 60


@contextlib.contextmanager
def make_data_dir(name: str = "data") -> Iterator[Path]:
    """A short path that other users may enter; afterwards nothing that uses it lives on."""
    root = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp")).resolve()
    root.chmod(0o755)
    try:
        yield root / name
    finally:
        for pid in processes_of(root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(root, ignore_errors=True)


def environment(data: Path, **more: str) -> dict[str, str]:
    """Ours, for a portal of its own: embedded servers in `data`, no demo."""
    names = ("DATABASE_URL", "REDIS_URL", "DATABASE_OWNER_URL", "PORT", "HOST", "SITE_URL", "PORTAL_ENV")
    mine = {k: v for k, v in os.environ.items() if k not in names}
    return {**mine, "PORTAL_DATA_DIR": str(data), "PORTAL_DEMO": "0", "PYTHONUNBUFFERED": "1", **more}


def start_python(code: str, data: Path, **more: object) -> "subprocess.Popen[str]":
    """A Python process in the project with pipes on all sides."""
    options = {"env": environment(data), "cwd": PROJECT, **more}
    program = options.pop("program", sys.executable)
    return subprocess.Popen(
        [program, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


HOLD = """
import sys
from apps.core import embedded
try:
    with embedded.running(title={title!r}, own={own}) as owned:
        print("ready", *(server.name for server in owned), flush=True)
        sys.stdin.readline()
except embedded.ServerError as error:
    print("refused", error, flush=True)
"""


def start_holder(
    data: Path, title: str = "a test", own: bool = False, **more: object
) -> "subprocess.Popen[str]":
    """A process that holds the servers of `data` until its stdin closes; returns once they answer."""
    holder = start_python(HOLD.format(title=title, own=own), data, **more)
    holder.first_line = holder.stdout.readline().strip()
    assert holder.first_line.startswith("ready"), holder.first_line + holder.stdout.read()
    return holder


def finish(process: "subprocess.Popen[str]") -> str:
    """Close its stdin and wait for its end; the rest of its output."""
    output, _ = process.communicate(timeout=PATIENCE_S)
    return output


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come; fail with its name when it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def processes_of(data: Path) -> list[int]:
    """Living processes, other than ours, started for this data directory: servers and portal alike."""
    return [pid for pid in _all_processes() if pid != os.getpid() and _belongs(pid, data)]


def _all_processes() -> list[int]:
    if LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [int(pid) for pid in subprocess.check_output(["ps", "-axo", "pid="], text=True).split()]


def _belongs(pid: int, data: Path) -> bool:
    if not LINUX:
        line = subprocess.run(["ps", "-E", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
        return f"PORTAL_DATA_DIR={data}" in line.stdout
    with contextlib.suppress(OSError):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return any(v.startswith(b"PORTAL_DATA_DIR=" + os.fsencode(data)) for v in variables)
    return False


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cannot(reason: str) -> None:
    """Skip where this machine lacks something; in CI that must not go unnoticed."""
    if os.environ.get("PORTAL_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
