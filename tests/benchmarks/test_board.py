"""The table of the ingestion benchmarks: a column for each load, a row for each figure and part."""

from benchmarks.lab.journey import Run
from benchmarks.lab.laboratory import Board


def make_run(rate, *, missing=0, refused=0):
    return Run(
        events=1000, accepted_per_s=2 * rate, end_to_end_per_s=rate, p50_ms=5.0, p95_ms=9.0, p99_ms=12.0,
        waiting_at_end_of_load=0, missing=missing, refused=refused,
        cpu_ms={"web": 0.4, "drain": 0.6, "PostgreSQL": 0.5, "beat": 0.001}, client_cpu_ms=0.03,
        peak_mb={"web": 110.0, "drain": 60.0, "PostgreSQL": 90.0, "Valkey": 3.0}, foreign_cores=0.1,
    )  # fmt: skip


def rows_of(board):
    return {row[0]: row[1:] for row in board.table().rows}


def test_a_column_holds_medians_with_their_spreads_and_sums_over_parts():
    board = Board("Title")
    board.add("portal", 16, [make_run(900), make_run(1000), make_run(1200)])
    rows = rows_of(board)
    assert rows["end to end /s"] == ["1,000 (900–1,200)"]
    assert rows["accepted /s"] == ["2,000 (1,800–2,400)"]
    assert rows["CPU ms/event"] == ["1.50 (1.50–1.50)"]
    assert rows["– drain ms"] == ["0.60 (0.60–0.60)"]
    assert rows["MB without stores"] == ["170 (170–170)"]
    assert rows["MB of stores"] == ["93.0 (93.0–93.0)"]
    assert "– beat ms" not in rows
    assert list(rows)[-1] == "foreign cores"


def test_columns_with_other_rows_leave_dashes():
    board = Board("Title")
    board.add("portal", 16, [make_run(1000)])
    board.add_cells("limit", {"connections": 16, "accepted /s": "9,000"})
    rows = rows_of(board)
    assert rows["accepted /s"] == ["2,000", "9,000"]
    assert rows["end to end /s"] == ["1,000", "–"]


def test_what_went_missing_or_was_refused_is_said():
    board = Board("Title")
    board.add("portal", 16, [make_run(1000), make_run(1000, missing=2, refused=3)])
    assert board.table().notes == ["portal, 16 connections: 2 accepted events missing, 3 requests refused."]
