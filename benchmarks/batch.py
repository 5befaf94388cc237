"""Many events a request, stored and queryable: records of 1 kB at the batch endpoint, and full 9.5 kB events.

    python -m benchmarks.batch [--records 5e4] [--events 1e4] [--runs 3] [--quick] [--markdown]

Records go to /api/errors/batch as NDJSON, 500 a request, packed by gzip. Full events go as an SDK or a relay would
send them, in envelopes of 100 items of type event (the most the door takes). Each over 4 and 16 connections. The
whole portal runs as in `ingest`, and "end to end" means the same.
"""

import argparse
from collections.abc import Sequence

from benchmarks.lab import conditions, options
from benchmarks.lab.laboratory import ENVELOPE, NDJSON, Board, Laboratory
from benchmarks.lab.portal import Portal, running_portal, scratch

RECORDS_PER_REQUEST, ITEMS_PER_ENVELOPE = 500, 100


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    board = Board("Many events a request")
    with scratch("corpora") as folder, running_portal() as portal:
        measure(Laboratory(folder, chosen, options.progress(chosen)), portal, board)
    board.notes.append("Latencies are those of a request, rates those of events.")
    board.notes.append(conditions.line("records of 1 kB", "events of 9.5 kB from the real SDK"))
    options.show(chosen, [board.table()])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    asked = options.parser(__doc__)
    asked.add_argument("--records", type=options.size, default=50_000)
    asked.add_argument("--events", type=options.size, default=10_000)
    asked.add_argument("--connections", type=options.sizes, default=[4, 16])
    return options.parse(asked, argv, records=5_000, events=2_000, connections=[4])


def measure(lab: Laboratory, portal: Portal, board: Board) -> None:
    """Both kinds at each number of connections."""
    batch = portal.aim("/api/errors/batch", **NDJSON)
    envelope = portal.aim(f"/api/{portal.project_id}/envelope/", **ENVELOPE)
    kinds = (
        (
            f"records of 1 kB, {RECORDS_PER_REQUEST} a request",
            batch,
            lab.records(RECORDS_PER_REQUEST),
            "records",
        ),
        (
            f"full events, {ITEMS_PER_ENVELOPE} a request",
            envelope,
            lab.envelopes(ITEMS_PER_ENVELOPE),
            "events",
        ),
    )
    for name, aim, kind, counted in kinds:
        lab.warm_up(portal, aim, kind)
        for connections in lab.chosen.connections:
            events = getattr(lab.chosen, counted)
            runs = lab.runs(name, portal, aim, kind, connections=connections, events=events)
            board.add(name, connections, runs)


if __name__ == "__main__":
    main()
