"""What the benchmarks of ingestion share: fresh bodies for each run, the load client, warm-up, rows of their tables."""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lab import client, corpus, gauges, journey
from benchmarks.lab.figures import Cell, Table, spread
from benchmarks.lab.journey import Run, Task, Tracker

WARM_UP = 200
GZIP = {"Content-Encoding": "gzip"}
ENVELOPE = {"Content-Type": "application/x-sentry-envelope", **GZIP}
NDJSON = {"Content-Type": "application/x-ndjson", **GZIP}
FIGURES = {
    "accepted /s": "accepted_per_s",
    "end to end /s": "end_to_end_per_s",
    "p50 ms": "p50_ms",
    "p95 ms": "p95_ms",
    "p99 ms": "p99_ms",
}
STORES = ("PostgreSQL", "Valkey")
LEAST_SHOWN = 0.005


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


class Board:
    """The table: a column for each load on each target, a row for each figure."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.columns: list[tuple[str, dict[str, Cell]]] = []
        self.notes: list[str] = []

    def add(self, name: str, connections: int, runs: list[Run]) -> None:
        """Medians with their spreads; what went missing or was refused is said."""
        cells: dict[str, Cell] = {"connections": connections, "events": runs[0].events}
        cells |= {row: spread([getattr(run, figure) for run in runs]) for row, figure in FIGURES.items()}
        cells |= by_part("CPU ms/event", [run.cpu_ms for run in runs])
        cells |= by_part("MB without stores", [apart(run.peak_mb, stores=False) for run in runs])
        if any(part in STORES for part in runs[0].peak_mb):
            cells |= by_part("MB of stores", [apart(run.peak_mb, stores=True) for run in runs])
        self.add_cells(name, {**cells, "foreign cores": spread([run.foreign_cores for run in runs])})
        missing, refused = sum(run.missing for run in runs), sum(run.refused for run in runs)
        if missing or refused:
            said = f"{missing} accepted events missing, {refused} requests refused"
            self.notes.append(f"{name}, {connections} connections: {said}.")

    def add_cells(self, name: str, cells: dict[str, Cell]) -> None:
        """A column whose figures were made elsewhere."""
        self.columns.append((name, cells))

    def table(self) -> Table:
        """Rows in the order in which columns name them, foreign cores last."""
        table = Table(("", *(name for name, _ in self.columns)), self.title, notes=self.notes)
        for row in self._rows():
            table.add(row, *(cells.get(row) for _, cells in self.columns))
        return table

    def _rows(self) -> list[str]:
        """A row that only a later column has stands behind the row that it follows there."""
        rows: list[str] = []
        for _, cells in self.columns:
            at = 0
            for row in cells:
                if row not in rows:
                    rows.insert(at, row)
                at = rows.index(row) + 1
        return sorted(rows, key=lambda row: row == "foreign cores")


def by_part(title: str, runs: list[dict[str, float]]) -> dict[str, Cell]:
    """A row for all parts together, then one for each that matters."""
    cells: dict[str, Cell] = {title: spread([sum(run.values()) for run in runs])}
    for part in runs[0]:
        figures = [run.get(part, 0.0) for run in runs]
        if max(figures) >= LEAST_SHOWN:
            cells[f"– {part}{' MB' if title.startswith('MB') else ' ms'}"] = spread(figures)
    return cells


def apart(parts: dict[str, float], *, stores: bool) -> dict[str, float]:
    """Only the stores, or everything else."""
    return {part: value for part, value in parts.items() if (part in STORES) == stores}
