"""Files of the spool: whole records come back, a torn end is cut, damage is told, and a segment has one holder."""

import os
import subprocess
import sys

import pytest

from apps.ingest import spool
from apps.ingest.entries import Entry
from apps.ingest.spool import Group, Spool, SpoolFull


@pytest.fixture
def writer():
    made = Spool()
    yield made
    made.close()


def make_group(number: int, size: int = 10) -> Group:
    return Group(1_780_000_000_000_000 + number, [Entry(1, 1, bytes([number % 256]) * size)])


def fill(writer: Spool, count: int, size: int = 10) -> list[int]:
    """Write groups and let go; where each record ends."""
    ends = []
    for number in range(count):
        writer.append(make_group(number, size))
        ends.append(spool.size_bytes())
    writer.close()
    return ends


def read_all(start: int = 0):
    """(numbers of the groups, lengths of damaged stretches, end) of the one segment."""
    (path,) = spool.segments()
    with spool.held(path) as segment:
        piece = segment.read(start, 10**9)
        return (
            [g.received_us - 1_780_000_000_000_000 for g in piece.groups],
            [len(d) for d in piece.damaged],
            piece.end,
        )


def change(at: int, data: bytes) -> None:
    with spool.segments()[0].open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_what_was_written_comes_back(writer):
    entry = Entry(2**60, 3, bytes(range(256)), "zstd", b'{"event_id":"x"}')
    writer.append(Group(123, [entry, make_group(1).entries[0]], b"w" * 16, 7))
    writer.close()
    (path,) = spool.segments()
    with spool.held(path) as segment:
        (group,) = segment.read(0, 10**9).groups
    assert group == Group(123, [entry, make_group(1).entries[0]], b"w" * 16, 7)
    assert spool.waiting() == 2


def test_a_stretch_has_at_least_one_record_and_the_next_begins_where_it_ended(writer):
    ends = fill(writer, 5, size=1000)
    (path,) = spool.segments()
    with spool.held(path) as segment:
        assert segment.read(0, 1).end == ends[0]
        assert segment.read(ends[0], 1500).end == ends[2]
        assert segment.read(ends[4], 1500).end == ends[4]


def test_a_torn_end_is_cut_wherever_it_tore(writer):
    ends = fill(writer, 2)
    whole = spool.segments()[0].read_bytes()
    for length in range(ends[0], ends[1]):
        spool.segments()[0].write_bytes(whole[:length])
        assert read_all() == ([0], [], ends[0])


@pytest.mark.parametrize("record", [0, 1, 2])
def test_a_damaged_record_is_told_and_its_neighbours_are_read(writer, record):
    ends = [0, *fill(writer, 3)]
    whole = spool.segments()[0].read_bytes()
    for at in range(ends[record], ends[record + 1]):
        change(at, bytes([whole[at] ^ 0x41]))
        numbers, damaged, end = read_all()
        assert numbers == [n for n in range(3) if n != record]
        # A damaged length at the very end reads like a torn record: nobody can tell them apart.
        assert (damaged, end) in (([ends[record + 1] - ends[record]], ends[3]), ([], ends[2]))
        assert damaged or record == 2
        change(at, whole[at : at + 1])


def test_a_rest_of_zeros_is_told(writer):
    ends = fill(writer, 1)
    change(ends[0], bytes(5000))
    assert read_all() == ([0], [5000], ends[0] + 5000)


def test_a_body_that_looks_like_a_record_is_none(writer):
    writer.append(make_group(1))
    writer.close()
    inside = spool.segments()[0].read_bytes()
    spool.segments()[0].unlink()
    writer.append(Group(1_780_000_000_000_000, [Entry(1, 1, inside + b"\x8fRP1" * 50)]))
    writer.append(make_group(2))
    writer.close()
    assert read_all()[0] == [0, 2]


def test_a_segment_belongs_to_its_writer_until_it_lets_go(writer):
    writer.append(make_group(1))
    (path,) = spool.segments()
    with spool.held(path) as segment:
        assert segment is None
    writer.close()
    with spool.held(path) as segment, spool.held(path) as second:
        assert segment is not None
        assert second is None
        segment.remove()
    with spool.held(path) as gone:
        assert gone is None
    assert spool.segments() == []


def test_who_waits_for_a_segment_that_is_removed_meanwhile_gets_none(writer):
    writer.append(make_group(1))
    writer.close()
    (path,) = spool.segments()
    code = f"""
import fcntl, os, sys
handle = os.open({str(path)!r}, os.O_RDONLY)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with spool.held(path) as segment:
        assert segment is None
    holder.kill()  # as kill -9 of a web process: the lock goes with it
    holder.communicate()
    with spool.held(path) as segment:
        assert segment is not None


def test_segments_are_closed_at_their_size(writer, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 2000)
    for number in range(6):
        writer.append(make_group(number, size=900))
    assert len(spool.segments()) == 2
    assert spool.waiting() == 6


def test_nobody_else_can_read_what_was_received(writer):
    writer.append(make_group(1))
    assert spool.directory().stat().st_mode & 0o777 == 0o700
    assert spool.segments()[0].stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_nothing_behind_and_the_next_one_begins_anew(writer, monkeypatch):
    writer.append(make_group(0))
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda handle, data: write(handle, data[:7]) if len(data) > 20 else _no_space()
    )
    with pytest.raises(SpoolFull):
        writer.append(make_group(1))
    monkeypatch.undo()
    writer.append(make_group(2))
    writer.close()
    numbers = []
    for path in spool.segments():
        with spool.held(path) as segment:
            numbers += [g.received_us % 1000 for g in segment.read(0, 10**9).groups]
    assert sorted(numbers) == [0, 2]


def _no_space():
    raise OSError(28, "No space left on device")
