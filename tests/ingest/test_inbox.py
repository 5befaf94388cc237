"""Many requests, one commit: durable when answered, and nobody is left waiting."""

import threading
import time

import psycopg
import pytest
from django.db import connection

from apps.ingest import inbox
from apps.ingest.inbox import Committer, Entry, InboxFull, InboxUnavailable
from apps.ingest.models import InboxEntry
from tests.at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def committer():
    made = Committer()
    yield made
    made.close()


def make_entry(number: int = 0, **facts) -> Entry:
    return Entry(**{"project_id": 1, "kind": 1, "body": b"%d" % number, **facts})


def bodies() -> list[bytes]:
    return sorted(bytes(body) for body in InboxEntry.objects.values_list("body", flat=True))


def transactions() -> int:
    """How many transactions wrote what is in the inbox."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM ingest_inboxentry")
        return cursor.fetchone()[0]


def test_an_entry_is_kept_as_it_came(committer):
    raw = bytes(range(256)) * 10
    context = inbox.encode_context({"event_id": "a" * 32, "x": "\N{EURO SIGN}"})
    committer.accept(make_entry(project_id=2**60, kind=2, body=raw, coding="zstd", context=context))
    entry = InboxEntry.objects.get()
    assert (bytes(entry.body), entry.project_id, entry.kind, entry.coding) == (raw, 2**60, 2, "zstd")
    assert entry.context == {"event_id": "a" * 32, "x": "\N{EURO SIGN}"}
    assert (entry.attempts, entry.not_before) == (0, None)


def test_each_of_many_threads_finds_its_own_entry_kept_when_it_is_answered(committer):
    def hand_in(number):
        for n in range(10):
            committer.accept(make_entry(number * 100 + n))
            assert InboxEntry.objects.filter(body=b"%d" % (number * 100 + n)).exists()

    at_once(16, hand_in)
    assert InboxEntry.objects.count() == 160


def test_what_waits_together_is_committed_together(committer, monkeypatch):
    """The first commit is held up until all others wait."""
    write, groups = committer._write, []

    def slow(flight):
        groups.append(len(flight.group.entries))
        if len(groups) == 1:
            _until(lambda: committer._waiting.qsize() + groups[0] == 32)
        write(flight)

    monkeypatch.setattr(committer, "_write", slow)
    at_once(32, lambda n: committer.accept(make_entry(n)))
    assert len(bodies()) == sum(groups) == 32
    assert transactions() == len(groups) <= 2


def _until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_several_entries_of_one_request_are_kept_together_or_not_at_all(committer):
    with pytest.raises(InboxUnavailable):
        committer.accept(make_entry(1), make_entry(2, coding="x" * 99))
    assert bodies() == []
    committer.accept(make_entry(1), make_entry(2))
    assert bodies() == [b"1", b"2"]
    assert transactions() == 1


def test_a_commit_that_fails_answers_everybody_who_waits_and_the_next_one_works(committer, monkeypatch):
    write = committer._write

    def broken(flight):
        raise psycopg.errors.UndefinedTable("of another version")

    monkeypatch.setattr(committer, "_write", broken)

    def hand_in(number):
        with pytest.raises(InboxUnavailable) as caught:
            committer.accept(make_entry(number))
        return caught.value.retry_after_s

    assert at_once(8, hand_in) == [5] * 8
    assert bodies() == []
    monkeypatch.setattr(committer, "_write", write)
    committer.accept(make_entry(9))
    assert bodies() == [b"9"]


def test_a_connection_that_was_cut_is_replaced_and_the_sender_does_not_notice(committer):
    committer.accept(make_entry(1))
    for number in (2, 3):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [committer._connection.info.backend_pid])
        committer.accept(make_entry(number))
    assert bodies() == [b"1", b"2", b"3"]


def test_a_request_that_was_told_to_come_again_is_not_kept_behind_its_back(committer, monkeypatch):
    monkeypatch.setattr(inbox, "WAIT_AT_MOST_S", 0.2)
    write, begun, go = committer._write, threading.Event(), threading.Event()

    def stuck(flight):
        begun.set()
        go.wait(10)
        write(flight)

    monkeypatch.setattr(committer, "_write", stuck)

    def hand_in(number):
        with pytest.raises(InboxUnavailable):
            committer.accept(make_entry(number))

    first = threading.Thread(target=hand_in, args=(1,))
    first.start()
    begun.wait(10)
    hand_in(2)
    first.join()
    go.set()
    monkeypatch.setattr(inbox, "WAIT_AT_MOST_S", 10)
    committer.accept(make_entry(3))
    assert b"2" not in bodies()
    assert b"3" in bodies()


def test_a_failure_to_measure_is_no_failure_to_keep(committer):
    committer.accept(make_entry(1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [committer._connection.info.backend_pid])
    committer._looked_at = -1e9
    committer._look()
    committer.accept(make_entry(2))
    assert bodies() == [b"1", b"2"]


def test_a_full_inbox_takes_nothing_until_it_is_drained(committer, settings, monkeypatch):
    monkeypatch.setattr(inbox, "LOOK_EVERY_S", 0.01)
    settings.INBOX_MAX_ROWS = 3
    with pytest.raises(InboxFull) as caught:
        for number in range(1000):
            committer.accept(make_entry(number))
            time.sleep(0.005)
    assert caught.value.retry_after_s == 30
    assert 3 < InboxEntry.objects.count() < 100
    InboxEntry.objects.all().delete()
    _until(lambda: not committer._is_full())
    committer.accept(make_entry(7))
    assert bodies() == [b"7"]


def test_commits_of_the_door_are_durable_whatever_the_role_is_set_to(committer):
    committer.accept(make_entry())
    assert committer._connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
