"""Sending bodies over many connections and timing each answer: by load.c where gcc is, else by load.py."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.core.embedded.paths import PROJECT_DIR
from benchmarks.lab.figures import percentile

SOURCE = Path(__file__).with_name("load.c")
TIMING = struct.Struct("<ddi4x")


@dataclass(frozen=True)
class Aim:
    """Where to: the request line and headers up to Content-Length are made from it."""

    port: int
    path: str
    headers: dict[str, str]

    def head(self) -> bytes:
        """What stands before Content-Length."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "".join(f"{line}\r\n" for line in lines).encode()


@dataclass(frozen=True)
class Timing:
    """One request: Unix times of its first byte and of the last of its answer; status 0 without an answer."""

    sent: float
    done: float
    status: int


@dataclass(frozen=True)
class Load:
    """What came of sending a corpus once."""

    timings: list[Timing]
    cpu_s: float

    @property
    def accepted(self) -> int:
        """Answers of 2xx."""
        return sum(200 <= t.status < 300 for t in self.timings)

    @property
    def started(self) -> float:
        """Unix time of the first request."""
        return min(t.sent for t in self.timings)

    @property
    def accepted_per_s(self) -> float:
        """From the first request to the last answer."""
        return self.accepted / (max(t.done for t in self.timings) - self.started)

    def latency_ms(self, share: float) -> float:
        """Of all answers, from the first byte sent to the last one received."""
        return percentile([(t.done - t.sent) * 1000 for t in self.timings], share)

    def statuses(self) -> dict[int, int]:
        """How often each status came."""
        found: dict[int, int] = {}
        for t in self.timings:
            found[t.status] = found.get(t.status, 0) + 1
        return found


def write_corpus(path: Path, bodies: Sequence[bytes]) -> None:
    """Bodies, each behind its length."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(struct.pack("<I", len(body)) + body)


def read_corpus(path: Path) -> Iterator[bytes]:
    """The bodies of a corpus."""
    with path.open("rb") as file:
        while size := file.read(4):
            yield file.read(struct.unpack("<I", size)[0])


def compiled(folder: Path) -> Path | None:
    """The load client as a program in `folder`; None without a C compiler or without epoll."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "load"
    done = subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], capture_output=True)
    return program if done.returncode == 0 else None


def send(
    program: Path | None, aim: Aim, corpus: Path, *, connections: int, first: int = 0, count: int
) -> Load:
    """Send bodies `first` … `first + count - 1` of the corpus once each. Raises RuntimeError if the client fails."""
    head, timings = corpus.with_suffix(".head"), corpus.with_suffix(".timings")
    head.write_bytes(aim.head())
    client = [sys.executable, "-m", "benchmarks.lab.load"] if program is None else [str(program)]
    files, numbers = [str(head), str(corpus)], [str(n) for n in (connections, first, count)]
    command = [*client, str(aim.port), *files, *numbers, str(timings)]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the load client failed: {done.stderr.strip()}")
    return Load(read_timings(timings.read_bytes()), float(done.stdout))


def read_timings(raw: bytes) -> list[Timing]:
    """What load.c wrote."""
    return [Timing(*fields) for fields in TIMING.iter_unpack(raw)]
