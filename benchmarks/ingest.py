"""One Sentry envelope a request, accepted and queryable: ours, the peer and the limit in one run.

    python -m benchmarks.ingest [--events 5e3,2e4] [--connections 16,64] [--runs 3] [--no-peer] [--quick] [--markdown]

The whole portal runs as `make run` starts it (two web workers, one drain, embedded servers, no demo), with the load
client on the same machine. Events are what the real SDK sent, each rendered anew: 9.5 kB, 2.8 kB packed. "End to end"
runs from the first byte of the first request until the last accepted event is counted by its group, in the database.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lab import client, conditions, corpus, gauges, journey, options
from benchmarks.lab.bugsink import PeerNotAvailable, running_bugsink
from benchmarks.lab.empty import running_empty
from benchmarks.lab.figures import Table, ratio, spread
from benchmarks.lab.journey import Run, Task, Tracker
from benchmarks.lab.portal import running_portal, scratch

WARM_UP = 200
HEADERS = {"Content-Type": "application/x-sentry-envelope", "Content-Encoding": "gzip"}
COLUMNS = (
    "", "connections", "events", "accepted /s", "end to end /s", "p50 ms", "p95 ms", "p99 ms", "CPU ms/event",
    "web + work MB", "stores MB", "foreign cores",
)  # fmt: skip
# Bugsink 2.6.1 on another day, on two cores, 4,900 events, three runs: shown where it cannot be run here.
REFERENCE = {16: ("189 (169–196)", "43.9 (40–45)", "82", "123", "160"), 64: ("234", None, None, None, None)}
STORES = ("PostgreSQL", "Valkey")


class Laboratory:
    """What all runs share: the captured events, the load client and a folder for corpora."""

    def __init__(self, folder: Path, chosen: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.folder, self.chosen, self.say = folder, chosen, say
        self.program = client.compiled(folder)
        self.models = corpus.captured(folder)
        self.rnd = random.Random()

    def corpus(self, count: int) -> Path:
        """Events that nobody has seen, as late as possible: their times are now."""
        path = self.folder / "corpus.bin"
        client.write_corpus(path, list(corpus.envelopes(self.models, count, self.rnd)))
        return path

    def warm_up(self, tracker: Tracker, aim: client.Aim) -> None:
        """The first events make groups, partitions and caches; they are not counted."""
        before = tracker.queryable()
        load = client.send(self.program, aim, self.corpus(WARM_UP), connections=4, count=WARM_UP)
        journey.wait_for(tracker, before + load.accepted)

    def runs(self, name: str, tracker: Tracker, aim: client.Aim, connections: int, events: int) -> list[Run]:
        """As many as were asked for."""
        found = []
        for number in range(self.chosen.runs):
            task = Task(self.program, aim, self.corpus(events), connections, events)
            gauges.wait_until_quiet(self.chosen.quiet_wait)
            found.append(journey.run(tracker, task))
            rates = (
                f"{found[-1].accepted_per_s:.0f}/s accepted, {found[-1].end_to_end_per_s:.0f}/s end to end"
            )
            self.say(f"{name}, {connections} connections, {events} events, run {number + 1}: {rates}")
        return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    say = options.progress(chosen)
    table = Table(COLUMNS, "Sentry envelopes, one event a request")
    with scratch("corpora") as folder:
        lab = Laboratory(folder, chosen, say)
        ours = measure_ours(lab, table)
        theirs = {} if chosen.no_peer else measure_peer(lab, table)
        measure_limit(lab, table)
    conclude(table, ours, theirs, lab.program is not None)
    options.show(chosen, [table])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    asked = options.parser(__doc__)
    asked.add_argument("--events", type=options.sizes, default=[5_000, 20_000])
    asked.add_argument("--connections", type=options.sizes, default=[16, 64])
    asked.add_argument(
        "--peer-events", type=options.size, default=2_000, help="Bugsink stores about 44 a second"
    )
    asked.add_argument("--no-peer", action="store_true")
    return options.parse(asked, argv, events=[2_000], connections=[16], peer_events=300)


def measure_ours(lab: Laboratory, table: Table) -> dict[int, list[Run]]:
    """Runs of the fewest events by connections, to compare with the peer's."""
    compared: dict[int, list[Run]] = {}
    with running_portal() as portal:
        aim = portal.aim(f"/api/{portal.project_id}/envelope/", **HEADERS)
        lab.warm_up(portal, aim)
        for connections in lab.chosen.connections:
            for events in sorted(lab.chosen.events):
                runs = lab.runs("portal", portal, aim, connections, events)
                add(table, "portal", connections, events, runs)
                compared.setdefault(connections, runs)
    return compared


def measure_peer(lab: Laboratory, table: Table) -> dict[int, list[Run]]:
    """The same load on Bugsink; its figures of another day where it is not available."""
    found: dict[int, list[Run]] = {}
    try:
        with running_bugsink() as peer:
            name, aim = f"Bugsink {peer.version}", peer.aim(**HEADERS)
            lab.warm_up(peer, aim)
            for connections in lab.chosen.connections:
                found[connections] = lab.runs(name, peer, aim, connections, lab.chosen.peer_events)
                add(table, name, connections, lab.chosen.peer_events, found[connections])
    except PeerNotAvailable as reason:
        lab.say(f"peer not available: {reason}")
        table.notes.append(
            "Peer not available here: its row is from another day (reference), 4,900 events, two cores."
        )
        for connections, cells in REFERENCE.items():
            figures = [*cells, "25.6" if connections == 16 else None, None, None, None]
            table.add("Bugsink 2.6.1 (reference)", connections, 4_900, *figures)
    return found


def measure_limit(lab: Laboratory, table: Table) -> None:
    """How fast a web server like ours takes such bodies when it does nothing with them."""
    events = max(lab.chosen.events)
    with running_empty() as (aim, parts):
        for connections in lab.chosen.connections:
            path = lab.corpus(events)
            loads, foreign = [], []
            for _ in range(lab.chosen.runs):
                with gauges.measured(parts) as gauge:
                    loads.append(client.send(lab.program, aim, path, connections=connections, count=events))
                foreign.append(gauge.foreign_cores)
            latency = [spread([load.latency_ms(share) for load in loads]) for share in (0.5, 0.95, 0.99)]
            rate = spread([load.accepted_per_s for load in loads])
            row = ("limit: empty application", connections, events, rate, None, *latency, *[None] * 3)
            table.add(*row, spread(foreign))


def add(table: Table, name: str, connections: int, events: int, runs: list[Run]) -> None:
    """One row of medians with their spreads; what went missing or was refused is said."""
    table.add(
        name, connections, events,
        *(spread([getattr(run, field) for run in runs]) for field in
          ("accepted_per_s", "end_to_end_per_s", "p50_ms", "p95_ms", "p99_ms")),
        cpu_cell(runs), spread([memory(run, stores=False) for run in runs]),
        spread([memory(run, stores=True) for run in runs]) if "PostgreSQL" in runs[0].peak_mb else None,
        spread([run.foreign_cores for run in runs]),
    )  # fmt: skip
    missing, refused = sum(run.missing for run in runs), sum(run.refused for run in runs)
    if missing or refused:
        table.notes.append(
            f"{name}, {connections} connections: {missing} accepted events missing, {refused} refused."
        )


def cpu_cell(runs: list[Run]) -> str:
    """Median of all, and of each part that matters."""
    parts = {part: statistics.median(run.cpu_ms.get(part, 0.0) for run in runs) for part in runs[0].cpu_ms}
    named = " · ".join(f"{part} {ms:.2f}" for part, ms in parts.items() if ms >= 0.005)
    return f"{sum(parts.values()):.2f} ({named})"


def memory(run: Run, *, stores: bool) -> float:
    """Peak of the stores, or of everything else, in MB."""
    return sum(mb for part, mb in run.peak_mb.items() if (part in STORES) == stores)


def conclude(table: Table, ours: dict[int, Any], theirs: dict[int, Any], compiled: bool) -> None:
    """Ratios in this run, and the conditions."""
    for connections in theirs:
        against = ratio(*([run.end_to_end_per_s for run in runs[connections]] for runs in (ours, theirs)))
        table.notes.append(f"End to end at {connections} connections: {against} Bugsink in the same run.")
    if not compiled:
        table.notes.append("No C compiler: the load client is Python and takes much of the machine itself.")
    table.notes.append(conditions.line("events of 9.5 kB from the real SDK, packed by gzip to 2.8 kB"))


if __name__ == "__main__":
    main()
