"""What processes cost, read from /proc: CPU seconds and proportional memory by part, and what others took meanwhile."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_EVERY_S = 1.0
QUIET_LOOK_S = 2.0
# A part is a name and how to find its processes: those that must be counted, children included, without overlap.
Parts = Callable[[], dict[str, list[int]]]


def children() -> dict[int, list[int]]:
    """Process ids by parent."""
    found: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (fields := _stat(int(entry))):
            found.setdefault(int(fields[1]), []).append(int(entry))
    return found


def tree(root: int) -> list[int]:
    """A process and all below it."""
    below, found, todo = children(), [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += below.get(pid, [])
    return found


def command_line(pid: int) -> str:
    """Its arguments in one line; empty when it is gone."""
    with contextlib.suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        )
    return ""


def name(pid: int) -> str:
    """What `ps` shows for it; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of processes and of their children that have ended."""
    return sum(sum(map(int, f[11:15])) for f in map(_stat, pids) if f) / TICKS_PER_S


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional memory: what is shared is counted once, in shares."""
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total_kb += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total_kb / 1024


def busy_s() -> float:
    """CPU seconds that the whole machine has worked since it started."""
    fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4] - fields[7]) / TICKS_PER_S


@contextlib.contextmanager
def measured(parts: Parts) -> Iterator["Gauge"]:
    """A gauge around a piece of work; its figures are there afterwards."""
    gauge = Gauge(parts)
    gauge.start()
    try:
        yield gauge
    finally:
        gauge.stop()


def wait_until_quiet(at_most_s: float, *, cores: float = 0.25) -> float:
    """Wait until the whole machine works less than `cores`, or no longer; the cores it worked last."""
    deadline = time.monotonic() + at_most_s
    while True:
        before = busy_s()
        time.sleep(QUIET_LOOK_S)
        working = (busy_s() - before) / QUIET_LOOK_S
        if working < cores or time.monotonic() > deadline:
            return working


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat behind the name; field 1 is the parent, 11…14 the CPU ticks."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return text[text.rindex(")") + 2 :].split()
    return []


def _self_s() -> float:
    return sum(os.times()[:4])


@dataclass
class Gauge:
    """What the parts cost between `start` and `stop`; memory is sampled every second in between.

    Of this program all counts as known, with the children it has waited for: so does the load client.
    """

    parts: Parts
    cpu: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    foreign_cores: float = 0.0

    def start(self) -> None:
        """From here."""
        self._from = (time.time(), busy_s(), _self_s(), self._spent())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """To here: fills the figures. Whatever neither a part nor this program took is foreign."""
        self._over.set()
        self._thread.join()
        at, busy, own, before = self._from
        spent = self._spent()
        self.seconds = time.time() - at
        self.cpu = {name: spent[name] - before.get(name, 0.0) for name in spent}
        known = sum(self.cpu.values()) + _self_s() - own
        self.foreign_cores = max(0.0, (busy_s() - busy - known) / self.seconds)

    def _spent(self) -> dict[str, float]:
        return {name: cpu_s(pids) for name, pids in self.parts().items()}

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            for name, pids in self.parts().items():
                self.peak_mb[name] = max(self.peak_mb.get(name, 0.0), pss_mb(pids))
