"""One measured run of a tracker: send, wait until everything can be queried, and what that cost."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.lab import client, gauges
from benchmarks.lab.figures import per_event

POLL_S = 0.1
STALLED_AFTER_S = 60


class Tracker(Protocol):
    """What is measured: ours, or a peer."""

    def parts(self) -> dict[str, list[int]]:
        """Process ids by part."""

    def queryable(self) -> int:
        """Events that a page can show."""

    def stored(self) -> int:
        """The same, counted one by one."""


@dataclass(frozen=True)
class Run:
    """Figures of one run: rates in events/s, times in ms, memory in MB, CPU in ms an event."""

    events: int
    accepted_per_s: float
    end_to_end_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    waiting_at_end_of_load: int
    missing: int
    refused: int
    cpu_ms: dict[str, float]
    client_cpu_ms: float
    peak_mb: dict[str, float]
    foreign_cores: float


@dataclass(frozen=True)
class Task:
    """What to send: `count` bodies from `first` on, holding `per_request` events each."""

    program: Path | None
    aim: client.Aim
    corpus: Path
    connections: int
    count: int
    first: int = 0
    per_request: int = 1


def run(tracker: Tracker, task: Task) -> Run:
    """Do it once."""
    before, before_rows = tracker.queryable(), tracker.stored()
    with gauges.measured(tracker.parts) as gauge:
        load = client.send(
            task.program,
            task.aim,
            task.corpus,
            connections=task.connections,
            first=task.first,
            count=task.count,
        )
        wanted = load.accepted * task.per_request
        waiting = before + wanted - tracker.queryable()
        until = wait_for(tracker, before + wanted)
    stored = tracker.stored() - before_rows
    return Run(
        events=stored,
        accepted_per_s=load.accepted_per_s * task.per_request,
        end_to_end_per_s=stored / (until - load.started),
        p50_ms=load.latency_ms(0.5),
        p95_ms=load.latency_ms(0.95),
        p99_ms=load.latency_ms(0.99),
        waiting_at_end_of_load=waiting,
        missing=wanted - stored,
        refused=len(load.timings) - load.accepted,
        cpu_ms=per_event(gauge.cpu, stored),
        client_cpu_ms=load.cpu_s * 1000 / max(1, stored),
        peak_mb=gauge.peak_mb,
        foreign_cores=gauge.foreign_cores,
    )


def wait_for(tracker: Tracker, wanted: int) -> float:
    """Unix time at which so many events could be queried, or at which the last of fewer came."""
    reached, at = -1, time.time()
    while reached < wanted:
        now = tracker.queryable()
        if now > reached:
            reached, at = now, time.time()
        elif time.time() - at > STALLED_AFTER_S:
            break
        else:
            time.sleep(POLL_S)
    return at
