"""One Sentry envelope a request, accepted and queryable: ours, the peer and the limit in one run.

    python -m benchmarks.ingest [--events 5e3,2e4] [--connections 16,64] [--runs 3] [--no-peer] [--quick] [--markdown]

The whole portal runs as `make run` starts it (two web workers, one drain, embedded servers, no demo), with the load
client on the same machine. Events are what the real SDK sent, each rendered anew: 9.5 kB, 2.8 kB packed. "End to end"
runs from the first byte of the first request until the last accepted event is counted by its group, in the database.
"""

import argparse
from collections.abc import Sequence

from benchmarks.lab import client, conditions, gauges, options
from benchmarks.lab.bugsink import PeerNotAvailable, running_bugsink
from benchmarks.lab.empty import running_empty
from benchmarks.lab.figures import Cell, ratio, spread
from benchmarks.lab.journey import Run
from benchmarks.lab.laboratory import ENVELOPE, Board, Laboratory
from benchmarks.lab.portal import running_portal, scratch

# Bugsink 2.6.1 on another day, on two cores, 4,900 events, three runs: shown where it cannot be run here.
REFERENCE: dict[int, dict[str, Cell]] = {
    16: {"accepted /s": "189 (169–196)", "end to end /s": "43.9 (40–45)", "p50 ms": "82", "p95 ms": "123",
         "p99 ms": "160", "CPU ms/event": "25.6", "MB without stores": "227"},
    64: {"accepted /s": "234"},
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    say = options.progress(chosen)
    board = Board("Sentry envelopes, one event a request")
    with scratch("corpora") as folder:
        lab = Laboratory(folder, chosen, say)
        ours = measure_ours(lab, board)
        theirs = {} if chosen.no_peer else measure_peer(lab, board)
        measure_limit(lab, board)
    conclude(board, ours, theirs, lab.program is not None)
    options.show(chosen, [board.table()])


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


def measure_ours(lab: Laboratory, board: Board) -> dict[int, list[Run]]:
    """Runs of the fewest events by connections, to compare with the peer's."""
    compared: dict[int, list[Run]] = {}
    with running_portal() as portal:
        aim = portal.aim(f"/api/{portal.project_id}/envelope/", **ENVELOPE)
        lab.warm_up(portal, aim, lab.single)
        for connections in lab.chosen.connections:
            for events in sorted(lab.chosen.events):
                runs = lab.runs("portal", portal, aim, lab.single, connections=connections, events=events)
                board.add("portal", connections, runs)
                compared.setdefault(connections, runs)
    return compared


def measure_peer(lab: Laboratory, board: Board) -> dict[int, list[Run]]:
    """The same load on Bugsink; its figures of another day where it is not available."""
    found: dict[int, list[Run]] = {}
    try:
        with running_bugsink() as peer:
            name, aim, events = f"Bugsink {peer.version}", peer.aim(**ENVELOPE), lab.chosen.peer_events
            lab.warm_up(peer, aim, lab.single)
            for connections in lab.chosen.connections:
                runs = lab.runs(name, peer, aim, lab.single, connections=connections, events=events)
                board.add(name, connections, runs)
                found[connections] = runs
    except PeerNotAvailable as reason:
        lab.say(f"peer not available: {reason}")
        board.notes.append(
            "Peer not available here: its row is from another day (reference), 4,900 events, two cores."
        )
        for connections, cells in REFERENCE.items():
            board.add_cells(
                "Bugsink 2.6.1 (reference)", {"connections": connections, "events": 4_900, **cells}
            )
    return found


def measure_limit(lab: Laboratory, board: Board) -> None:
    """How fast a web server like ours takes such bodies when it does nothing with them."""
    events = max(lab.chosen.events)
    with running_empty() as (aim, parts):
        for connections in lab.chosen.connections:
            path = lab.corpus(lab.single, events)
            loads, foreign = [], []
            for _ in range(lab.chosen.runs):
                with gauges.measured(parts) as gauge:
                    loads.append(client.send(lab.program, aim, path, connections=connections, count=events))
                foreign.append(gauge.foreign_cores)
            cells: dict[str, Cell] = {"connections": connections, "events": events}
            cells["accepted /s"] = spread([load.accepted_per_s for load in loads])
            for row, share in (("p50 ms", 0.5), ("p95 ms", 0.95), ("p99 ms", 0.99)):
                cells[row] = spread([load.latency_ms(share) for load in loads])
            board.add_cells("limit: empty application", {**cells, "foreign cores": spread(foreign)})


def conclude(board: Board, ours: dict[int, list[Run]], theirs: dict[int, list[Run]], compiled: bool) -> None:
    """Ratios in this run, and the conditions."""
    for connections in theirs:
        against = ratio(*([run.end_to_end_per_s for run in runs[connections]] for runs in (ours, theirs)))
        board.notes.append(f"End to end at {connections} connections: {against} Bugsink in the same run.")
    if not compiled:
        board.notes.append("No C compiler: the load client is Python and takes much of the machine itself.")
    board.notes.append(conditions.line("events of 9.5 kB from the real SDK, packed by gzip to 2.8 kB"))


if __name__ == "__main__":
    main()
