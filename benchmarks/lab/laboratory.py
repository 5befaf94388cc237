"""What the benchmarks of ingestion share: fresh bodies for each run, the load client, warm-up, rows of their tables."""

import argparse
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lab import client, corpus, gauges, journey
from benchmarks.lab.figures import Table, spread
from benchmarks.lab.journey import Run, Task, Tracker

WARM_UP = 200
GZIP = {"Content-Encoding": "gzip"}
ENVELOPE = {"Content-Type": "application/x-sentry-envelope", **GZIP}
NDJSON = {"Content-Type": "application/x-ndjson", **GZIP}
COLUMNS = (
    "", "connections", "events", "accepted /s", "end to end /s", "p50 ms", "p95 ms", "p99 ms", "CPU ms/event",
    "web + work MB", "stores MB", "foreign cores",
)  # fmt: skip
FIGURES = ("accepted_per_s", "end_to_end_per_s", "p50_ms", "p95_ms", "p99_ms")
STORES = ("PostgreSQL", "Valkey")


@dataclass(frozen=True)
class Kind:
    """One way of sending: bodies of `per_request` events each, made for the asked number of requests."""

    make: Callable[[int], Iterator[bytes]]
    per_request: int = 1


class Laboratory:
    """The captured events, the load client and a folder for corpora."""

    def __init__(self, folder: Path, chosen: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.folder, self.chosen, self.say = folder, chosen, say
        self.program = client.compiled(folder)
        self.models = corpus.captured(folder)
        self.rnd = random.Random()
        self.single = self.envelopes()

    def envelopes(self, items: int = 1) -> Kind:
        """Envelopes of so many full events."""
        return Kind(lambda n: corpus.envelopes(self.models, n, self.rnd, items=items), items)

    def records(self, per_request: int) -> Kind:
        """NDJSON of so many records of 1 kB."""
        return Kind(lambda n: corpus.record_batches(n, self.rnd, records=per_request), per_request)

    def corpus(self, kind: Kind, requests: int) -> Path:
        """Events that nobody has seen, as late as possible: their times are now."""
        path = self.folder / "corpus.bin"
        client.write_corpus(path, list(kind.make(requests)))
        return path

    def warm_up(self, tracker: Tracker, aim: client.Aim, kind: Kind) -> None:
        """The first events make groups, partitions and caches; they are not counted."""
        before, requests = tracker.queryable(), max(2, WARM_UP // kind.per_request)
        load = client.send(self.program, aim, self.corpus(kind, requests), connections=4, count=requests)
        journey.wait_for(tracker, before + load.accepted * kind.per_request)

    def runs(
        self, name: str, tracker: Tracker, aim: client.Aim, kind: Kind, *, connections: int, events: int
    ) -> list[Run]:
        """As many as were asked for."""
        found = []
        for number in range(self.chosen.runs):
            requests = max(1, events // kind.per_request)
            path = self.corpus(kind, requests)
            gauges.wait_until_quiet(self.chosen.quiet_wait)
            task = Task(self.program, aim, path, connections, requests, per_request=kind.per_request)
            found.append(journey.run(tracker, task))
            rates = (
                f"{found[-1].accepted_per_s:.0f}/s accepted, {found[-1].end_to_end_per_s:.0f}/s end to end"
            )
            self.say(f"{name}, {connections} connections, {events} events, run {number + 1}: {rates}")
        return found


def add(table: Table, name: str, connections: int, runs: list[Run]) -> None:
    """One row of medians with their spreads; what went missing or was refused is said."""
    stores = "PostgreSQL" in runs[0].peak_mb
    table.add(
        name, connections, runs[0].events,
        *(spread([getattr(run, figure) for run in runs]) for figure in FIGURES),
        cpu_cell(runs), spread([memory(run, stores=False) for run in runs]),
        spread([memory(run, stores=True) for run in runs]) if stores else None,
        spread([run.foreign_cores for run in runs]),
    )  # fmt: skip
    missing, refused = sum(run.missing for run in runs), sum(run.refused for run in runs)
    if missing or refused:
        table.notes.append(
            f"{name}, {connections} connections: {missing} accepted events missing, {refused} requests refused."
        )


def cpu_cell(runs: list[Run]) -> str:
    """Median of all parts together, and of each that matters."""
    parts = {part: statistics.median(run.cpu_ms.get(part, 0.0) for run in runs) for part in runs[0].cpu_ms}
    named = " · ".join(f"{part} {ms:.2f}" for part, ms in parts.items() if ms >= 0.005)
    return f"{sum(parts.values()):.2f} ({named})"


def memory(run: Run, *, stores: bool) -> float:
    """Peak of the stores, or of everything else, in MB."""
    return sum(mb for part, mb in run.peak_mb.items() if (part in STORES) == stores)
