"""The choice of the inbox: how fast, at which price and with which promise an accepted body becomes durable.

    python -m benchmarks.inbox [--seconds 5] [--threads 16] [--processes 2] [--runs 3] [--quick] [--markdown]

Threads of a few processes hand in bodies of 3 kB, each the next as soon as the last one is durable; no HTTP, no drain.
The servers are the embedded ones with their own settings, Valkey with appendfsync always. docs/decisions tells what
was chosen from these figures.
"""

import argparse
import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from apps.core import embedded
from apps.core.embedded.paths import PROJECT_DIR, VALKEY_SOCKET, socket_dir
from benchmarks.lab import conditions, gauges, inboxes, options
from benchmarks.lab.figures import Table, percentile, spread
from benchmarks.lab.portal import database_url, environment, scratch

COLUMNS = ("", "entries /s", "p50 ms", "p99 ms", "CPU µs/entry", "foreign cores", "promise")
NAMES = {
    "committer": ("PostgreSQL, grouped commits (ours)",
                  "on disk; done and stored in one transaction, so counted once; a spool steps in while PostgreSQL is "
                  "away"),
    "stream": ("Valkey stream, fsync always",
               "on disk; the backlog lives in memory; done and stored meet by ids only"),
    "spool": ("spool file, group fdatasync",
              "on this machine's disk; takes while PostgreSQL is away; done and stored meet by ids only"),
    "commit-each": ("PostgreSQL, a commit a request", "as the first"),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One way, once: entries a second, milliseconds of each call, CPU microseconds an entry by process."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    foreign_cores: float


class Bench:
    """Embedded servers in a folder, and processes that hand in."""

    def __init__(
        self, data: Path, servers: Sequence[embedded.EmbeddedServer], chosen: argparse.Namespace
    ) -> None:
        self.data, self.chosen = data, chosen
        self.variables = environment(data)
        self.servers = {server.title: server.process.pid for server in servers}

    def parts(self) -> dict[str, list[int]]:
        """Process ids of the servers."""
        return {title: gauges.tree(pid) for title, pid in self.servers.items()}

    def run(self, name: str) -> Run:
        """Hand in by that way for the chosen time, then empty it."""
        times = [self.data / f"times-{n}" for n in range(self.chosen.processes)]
        program = [sys.executable, "-m", "benchmarks.lab.inboxes", name]
        numbers = [str(self.chosen.threads), str(self.chosen.seconds)]
        doors = [
            subprocess.Popen(
                [*program, *numbers, str(file)],
                cwd=PROJECT_DIR, env=self.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for file in times
        ]  # fmt: skip
        for door in doors:
            if door.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{name}: a process could not hand in")
        with gauges.measured(self.parts) as gauge:
            for door in doors:
                door.stdin.write("\n")
                door.stdin.flush()
            spent = [float(door.communicate()[0]) for door in doors]
        self._empty()
        return self._figures([m for file in times for m in doubles(file)], sum(spent), gauge)

    def _figures(self, calls: list[float], door_s: float, gauge: gauges.Gauge) -> Run:
        cpu_s = {"door": door_s, **gauge.cpu}
        return Run(
            rate=len(calls) / self.chosen.seconds,
            p50_ms=percentile(calls, 0.5),
            p99_ms=percentile(calls, 0.99),
            cpu_us={part: s * 1e6 / len(calls) for part, s in cpu_s.items()},
            foreign_cores=gauge.foreign_cores,
        )

    def _empty(self) -> None:
        with psycopg.connect(database_url(self.data, "owner")) as connection:
            connection.execute("TRUNCATE ingest_inboxentry")
        self.valkey().delete(inboxes.STREAM)
        for spool in self.data.glob("spool-*"):
            spool.unlink()

    def valkey(self) -> redis.Redis:
        """A connection to the embedded one."""
        return redis.Redis(unix_socket_path=str(socket_dir(self.data) / VALKEY_SOCKET))


def doubles(file: Path) -> list[float]:
    """What a process that handed in has written."""
    found = array("d")
    found.frombytes(file.read_bytes())
    return found.tolist()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    say = options.progress(chosen)
    table = Table(COLUMNS, "Ways to make an accepted body durable")
    with scratch("inbox") as root:
        data = root / "data"
        data.mkdir()
        with embedded.running(data, title="a benchmark", own=True) as servers:
            measure(data, servers, chosen, table, say)
    load = f"{chosen.processes} processes of {chosen.threads} threads, bodies of {inboxes.BODY_BYTES} bytes"
    table.notes.append(conditions.line(load, f"{chosen.runs} × {chosen.seconds:g} s"))
    options.show(chosen, [table])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    asked = options.parser(__doc__)
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--threads", type=options.size, default=16)
    asked.add_argument("--processes", type=options.size, default=2)
    return options.parse(asked, argv, seconds=1.0)


def measure(
    data: Path,
    servers: Sequence[embedded.EmbeddedServer],
    chosen: argparse.Namespace,
    table: Table,
    say: Callable[[str], None],
) -> None:
    """Each way, run by run, the ways taking turns so that a noisy minute hits all of them."""
    bench = Bench(data, servers, chosen)
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=PROJECT_DIR, env=bench.variables, check=True)
    bench.valkey().config_set("appendfsync", "always")
    bench.valkey().config_set("maxmemory", "1gb")
    runs: dict[str, list[Run]] = {name: [] for name in NAMES}
    for _ in range(chosen.runs):
        for name, found in runs.items():
            gauges.wait_until_quiet(chosen.quiet_wait)
            found.append(bench.run(name))
            say(f"{name}: {found[-1].rate:.0f}/s")
    for name, found in runs.items():
        add(table, name, found)


def add(table: Table, name: str, runs: list[Run]) -> None:
    """One row of medians with their spreads."""
    title, promise = NAMES[name]
    figures = (spread([getattr(run, figure) for run in runs]) for figure in ("rate", "p50_ms", "p99_ms"))
    cpu = spread([sum(run.cpu_us.values()) for run in runs])
    parts = " · ".join(f"{part} {us:.0f}" for part, us in runs[0].cpu_us.items() if us >= 1)
    table.add(title, *figures, f"{cpu}: {parts}", spread([run.foreign_cores for run in runs]), promise)


if __name__ == "__main__":
    main()
