"""Keeps a handful of processes running in one thread: their output, their deaths, their end.

One selector waits for output, for signals and for the next thing due; nothing polls. Each child leads a
process group of its own, so that what it leaves behind when it dies can be ended with it.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import IO, Protocol

from apps.core.embedded.process import spawn
from apps.core.embedded.server import EmbeddedServer

_DEATHS_ALLOWED, _WITHIN_S = 5, 60.0
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_REMNANTS_RETRY_S = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLOURS = (36, 32, 33, 35, 34, 31)
_TAIL_LINES = 20
_RELAY_MARK = "\x1f"
_READ_BYTES = 65536
_STEP_PATIENCE_S = 5.0
GAVE_UP = 70  # exit code of a child that supervises others and could not keep one of them alive


class Process(Protocol):
    """What a supervisor needs of a process: subprocess.Popen has it, Fork too."""

    pid: int
    stdout: IO[bytes] | None

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int) -> None: ...


@dataclass(frozen=True)
class Program:
    """One process to keep running: its name in the log, its command line, what it adds to the environment."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    relays: bool = False  # it supervises others: its lines say themselves whose they are


class Child:
    """One running or restarting process with its last words."""

    def __init__(self, name: str, launch: Callable[[], Process | None], *, relays: bool = False) -> None:
        self.name = name
        self.launch = launch
        self.relays = relays
        self.process: Process | None = None
        self.due: float | None = None
        self.deaths: deque[float] = deque(maxlen=_DEATHS_ALLOWED)
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.last_words: Callable[[], str] = lambda: "\n".join(self.tail)
        self.rest = b""

    @property
    def alive(self) -> bool:
        """Whether it runs; reaps it if it does not."""
        return self.process is not None and self.process.poll() is None

    def signal(self, sig: int) -> None:
        """Send a signal to the process itself."""
        if self.process is not None:
            self.process.send_signal(sig)

    def kill_group(self) -> None:
        """End the process and whatever it left behind."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def outlook(self, now: float) -> float | None:
        """Seconds until the next start after a death at `now`; None when it died too often to go on."""
        self.deaths.append(now)
        recent = sum(1 for death in self.deaths if now - death < _WITHIN_S)
        return None if recent >= _DEATHS_ALLOWED else _BACKOFF_S[recent - 1]


class Supervisor:
    """Runs children until told to stop or until one of them cannot be kept alive."""

    def __init__(self, *, relay: bool = False) -> None:
        """With `relay` a supervisor reads our output: it gets names and lines, and does the looks."""
        self.children: list[Child] = []
        self._relay = relay
        self.stopping = False
        self.failed: Child | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, wake_write = socket.socketpair()
        self._wake.setblocking(False)
        wake_write.setblocking(False)
        self._wake_write = wake_write
        self._selector.register(self._wake, selectors.EVENT_READ, self._drain_wake)
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._names: list[str] = []

    # Signals
    def listen(self) -> None:
        """Take over the signals that mean stop, and hear of dying children."""
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for sig in _STOP_SIGNALS:
            if sig != signal.SIGHUP or signal.getsignal(sig) != signal.SIG_IGN:  # nohup means it
                signal.signal(sig, self._stop_asked)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _stop_asked(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(1024):
                pass

    # Output
    def say(self, name: str, text: str) -> None:
        """One line on our output, under the name of who says it."""
        prefix = name + _RELAY_MARK if self._relay else f"{name:<9}| "
        if self._colour:
            if name not in self._names:
                self._names.append(name)
            prefix = f"\x1b[{_COLOURS[self._names.index(name) % len(_COLOURS)]}m{prefix}\x1b[0m"
        with contextlib.suppress(OSError):  # a closed terminal must not keep us from stopping in order
            sys.stdout.write(f"{prefix}{text}\n")
            sys.stdout.flush()

    def watch(self, child: Child) -> None:
        """Forward what the child writes, line by line."""
        if child.process is not None and child.process.stdout is not None:
            os.set_blocking(child.process.stdout.fileno(), False)
            self._selector.register(child.process.stdout, selectors.EVENT_READ, lambda: self._forward(child))

    def _read_out(self, child: Child) -> None:
        while self._forward(child):
            pass

    def _forward(self, child: Child) -> bool:
        """Pass on what can be read now; whether there may be more."""
        stream = child.process.stdout if child.process else None
        if stream is None or stream.closed:
            return False
        try:
            chunk = os.read(stream.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        *lines, child.rest = (child.rest + chunk).split(b"\n")
        if not chunk:
            self._selector.unregister(stream)
            stream.close()
            lines, child.rest = [child.rest] if child.rest else [], b""
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if not text.strip():
                continue
            name, marked, words = text.partition(_RELAY_MARK)
            child.tail.append(f"{name}: {words}" if marked else text)
            self.say(*((name, words) if marked and child.relays else (child.name, text)))
        return bool(chunk)

    # Children
    def add(self, program: Program) -> Child:
        """Start a program and keep it running."""
        return self.keep(program.name, lambda: start_program(program), relays=program.relays)

    def keep(self, name: str, launch: Callable[[], Process | None], *, relays: bool = False) -> Child:
        """Start what `launch` starts and keep it running."""
        child = Child(name, launch, relays=relays)
        self.children.append(child)
        self._begin(child)
        return child

    def adopt(self, server: EmbeddedServer) -> Child:
        """Keep a running embedded server running; its output goes to its own log."""

        def launch() -> Process | None:
            return server.process if server.launch() else None

        child = Child(server.name, launch)
        child.process = server.process
        child.last_words = server.log_tail
        self.children.append(child)
        return child

    def run(self, program: Program) -> int | None:
        """Run a program to its end; its exit code, or None if a stop was asked for meanwhile."""
        child = Child(program.name, lambda: start_program(program))
        self._begin(child)
        self.pump(lambda: not child.alive)
        if child.alive:
            child.signal(signal.SIGTERM)
            self.pump(lambda: not child.alive, _STEP_PATIENCE_S)
            child.kill_group()
        self._read_out(child)
        return None if self.over or child.process is None else child.process.returncode

    @property
    def over(self) -> bool:
        """Whether to stop: because it was asked for, or because a child cannot be kept alive."""
        return self.stopping or self.failed is not None

    def _begin(self, child: Child) -> None:
        child.due = None
        child.process = child.launch()
        if child.process is None:
            child.due = time.monotonic() + _REMNANTS_RETRY_S
        else:
            self.watch(child)

    def pump(self, done: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Forward output and restart children until `done`, a stop, a failure or the time is up."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not (done() or (self.failed and not self.stopping)):
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return
            if self.stopping and deadline is None:
                return
            self._step(now, deadline)

    def _step(self, now: float, deadline: float | None) -> None:
        dues = [child.due for child in self.children if child.due is not None and not self.stopping]
        next_due = min([*dues, *([deadline] if deadline is not None else [])], default=None)
        for key, _ in self._selector.select(None if next_due is None else max(0.0, next_due - now)):
            key.data()
        if not self.stopping:
            self._restart_the_dead(time.monotonic())

    def _restart_the_dead(self, now: float) -> None:
        for child in self.children:
            if child.due is not None:
                if child.due <= now:
                    self._begin(child)
            elif not child.alive:
                self._bury(child, now)

    def _bury(self, child: Child, now: float) -> None:
        child.kill_group()  # first: what it left behind holds its output open
        self._read_out(child)
        code = child.process.returncode if child.process else None
        wait_s = None if code == GAVE_UP else child.outlook(now)
        if wait_s is None:
            self.failed = child
            return
        self.say("portal", f"{child.name} {ending(code)}; starting it again in {wait_s:g} s")
        child.due = now + wait_s

    # End
    def stop(self, groups: Sequence[tuple[Sequence[Child], float]]) -> None:
        """Stop groups of children one after the other, each with its patience in seconds, then by force."""
        self.stopping = True
        for children, patience_s in groups:
            alive = [child for child in children if child.alive]
            for child in alive:
                child.signal(signal.SIGTERM)
            self.pump(partial(_none_alive, alive), patience_s)
            for child in alive:
                if child.alive:
                    self.say("portal", f"{child.name} did not stop within {patience_s:g} s: killed")
                child.kill_group()
                self._read_out(child)


def start_program(program: Program) -> Process:
    """Start one program as our child, its output on a pipe."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", **program.environment}
    return spawn(program.command, output=subprocess.PIPE, env=env)


def _none_alive(children: Sequence[Child]) -> bool:
    return not any(child.alive for child in children)


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
