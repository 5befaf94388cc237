"""From the spool into the inbox: once, whoever moves it and however often it is tried."""

import uuid
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from apps.ingest import drain, entries, moving, spool
from apps.ingest.connect import connect
from apps.ingest.entries import Entry
from apps.ingest.models import InboxEntry, InboxWriter, SetAside
from apps.ingest.spool import Group, Spool
from tests.at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def link():
    with connect("test", patience_ms=10_000) as made:
        yield made


def fill(*numbers: int, writer: bytes = b"", number: int = 0) -> None:
    """A segment with an entry in each group, let go of by its writer."""
    made = Spool()
    for n in numbers:
        made.append(Group(entries.now_us(), [Entry(1, 1, b"%d" % n)], writer, number))
    made.close()


def numbers() -> list[int]:
    return sorted(int(bytes(body)) for body in InboxEntry.objects.values_list("body", flat=True))


def test_all_segments_are_moved_and_go(link):
    fill(1, 2, 3)
    fill(4)
    assert moving.move_all(link) == 4
    assert numbers() == [1, 2, 3, 4]
    assert spool.segments() == []
    assert not InboxWriter.objects.exists()
    assert moving.move_all(link) == 0


def test_a_mover_that_dies_leaves_the_rest_to_the_next(link, monkeypatch):
    monkeypatch.setattr(moving, "MOVE_BYTES", 1)
    fill(*range(10))
    steps = iter([True, True, True, True, False])
    moving.move_all(link, lambda: next(steps))
    assert numbers() == [0, 1, 2]
    assert spool.waiting() == 10
    assert moving.move_all(link) == 7
    assert numbers() == list(range(10))


def test_a_segment_that_was_moved_but_not_removed_is_not_moved_again(link, monkeypatch):
    """The disk refused to forget it, or the mover died just before that."""
    fill(1, 2)

    def refuse(segment):
        raise OSError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(spool.Segment, "remove", refuse)
        with pytest.raises(OSError, match="read-only"):
            moving.move_all(link)
    InboxEntry.objects.all().delete()  # drained meanwhile
    assert moving.move_all(link) == 0
    assert numbers() == []
    assert spool.segments() == []


def test_a_move_that_fails_moves_nothing(link, monkeypatch):
    fill(1, 2)
    copy = moving.copy

    def break_after(connection, rows):
        copy(connection, rows)
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(moving, "copy", break_after)
    with pytest.raises(psycopg.OperationalError):
        moving.move_all(link)
    assert numbers() == []
    monkeypatch.undo()
    with connect("test", patience_ms=10_000) as another:
        assert moving.move_all(another) == 2


def test_many_movers_at_once_move_each_entry_once():
    for first in range(0, 200, 20):
        fill(*range(first, first + 20))

    def move(_):
        with connect("test", patience_ms=10_000) as mine:
            return moving.move_all(mine)

    moved = at_once(4, move)
    assert sum(moved) == 200
    assert numbers() == list(range(200))


def test_a_segment_whose_lock_means_nothing_is_still_moved_once(monkeypatch):
    """As on a network disk: two read it at the same time, and its row in the database decides."""
    monkeypatch.setattr(spool.fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(moving, "MOVE_BYTES", 200)
    fill(*range(50))

    def move(_):
        with connect("test", patience_ms=10_000) as mine:
            return moving.move_all(mine)

    moved = at_once(2, move)
    assert sum(moved) == 50
    assert numbers() == list(range(50))


@pytest.mark.parametrize(("done", "kept"), [(4, True), (5, False), (6, False)])
def test_a_group_in_doubt_is_moved_unless_its_writer_got_that_far(link, done, kept):
    writer = InboxWriter.objects.create(id=uuid.uuid4(), done=done)
    fill(1, writer=writer.id.bytes, number=5)
    fill(2)
    moving.move_all(link)
    assert numbers() == ([1, 2] if kept else [2])


def test_a_group_of_a_writer_that_the_database_does_not_know_is_moved(link):
    """It was restored from a backup that is older."""
    fill(1, writer=uuid.uuid4().bytes, number=5)
    moving.move_all(link)
    assert numbers() == [1]


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
def test_a_group_in_doubt_waits_for_the_transaction_that_may_hold_it(link, ending):
    writer = InboxWriter.objects.create(id=uuid.uuid4())
    fill(1, writer=writer.id.bytes, number=1)

    def move_or_end(number):
        if number == 0:
            with connect("test", patience_ms=10_000) as mine:
                return moving.move_all(mine)
        _until_somebody_waits()
        link.execute(ending)
        return 0

    link.execute("BEGIN")
    link.execute("UPDATE ingest_inboxwriter SET done = 1 WHERE id = %s", [writer.id])
    moving.copy(link, [entries.copy_rows(entries.now_us(), [Entry(1, 1, b"1")])])
    moved, _ = at_once(2, move_or_end)
    assert moved == (0 if ending == "COMMIT" else 1)
    assert numbers() == [1]


def _until_somebody_waits() -> None:
    waits = False
    while not waits:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            (waits,) = cursor.fetchone()


def test_a_damaged_record_is_set_aside_and_the_rest_is_moved(link):
    fill(1, 2, 3)
    (path,) = spool.segments()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    moving.move_all(link)
    assert numbers() == [1, 3]
    aside = SetAside.objects.get()
    assert (aside.kind, aside.code, aside.size) == ("spool", "damaged", len(raw) // 3)
    assert spool.segments() == []


def test_writers_that_wrote_nothing_for_weeks_are_forgotten():
    now = timezone.now()
    old = InboxWriter.objects.create(id=uuid.uuid4(), seen_at=now - timedelta(days=31))
    InboxWriter.objects.create(id=uuid.uuid4(), seen_at=now - timedelta(days=29))
    assert drain.forget_writers(now) == 1
    assert not InboxWriter.objects.filter(pk=old.pk).exists()


def test_the_drain_moves_what_a_dead_process_left_and_says_what_waits(monkeypatch):
    monkeypatch.setattr(drain, "MOVES_FOR_S", -1)
    fill(1, 2, 3)
    assert drain.drain(now=timezone.now(), slot=0).backlog == 3
    monkeypatch.setattr(drain, "MOVES_FOR_S", 10)
    drain.drain(now=timezone.now(), slot=0)
    assert spool.segments() == []
    assert SetAside.objects.count() == 3  # taken out of the inbox: their project does not exist
