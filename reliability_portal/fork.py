"""A child made by fork alone: it shares the loaded framework with its siblings."""

import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

from apps.core.embedded.process import die_with_parent

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Fork:
    """A forked child with the few verbs of subprocess.Popen that a supervisor needs."""

    def __init__(self, run: Callable[[], object], name: str = "") -> None:
        """Fork and call `run` in the child, whose output goes to our pipe; its return ends it with 0.

        `name` is what `ps` and `top` show for the child where the system lets it be set (Linux: 15 characters).
        """
        read_end, write_end = os.pipe()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(run, name, write_end, parent)
        os.close(write_end)
        self.stdout: IO[bytes] | None = os.fdopen(read_end, "rb", buffering=0)

    def poll(self) -> int | None:
        """Exit code as of subprocess (negative: the signal), None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def share_memory() -> None:
    """Call once before forking: keeps the garbage collector from touching, and so copying, what is shared."""
    gc.collect()
    gc.freeze()


def _be_child(run: Callable[[], object], name: str, write_end: int, parent: int) -> None:
    code = 1
    try:
        os.setsid()
        if name:
            _be_called(name)
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        for sig in _SIGNALS:
            signal.signal(sig, signal.SIG_DFL)
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # the edge of a process: whatever it was, say it and end
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _be_called(name: str) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)
