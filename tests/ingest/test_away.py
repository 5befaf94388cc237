"""PostgreSQL away: senders do not notice, nothing is lost, and nothing is there twice."""

import time
from collections import Counter

import pytest
from django.utils import timezone

from apps.errors.models import ErrorEvent
from apps.ingest import drain, inbox, keys, moving, routes, spool
from apps.ingest.connect import connect
from apps.ingest.inbox import Committer, Entry, InboxUnavailable
from apps.ingest.models import InboxEntry, InboxWriter
from apps.projects.models import RoutingRule
from tests.at_once import at_once
from tests.ingest.proxy import CUT_AFTER, CUT_BEFORE, HANG, OPEN, REFUSE, Proxy
from tests.ingest.wsgi import KEY, make_envelope, make_project, post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proxy(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "PROBE_EVERY_S", 0.05)
    it = Proxy(tmp_path, monkeypatch)
    yield it
    it.close()


@pytest.fixture
def committer(proxy):
    made = Committer()
    yield made
    proxy.mode = OPEN
    until(lambda: not made._away)
    made.close()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def make_entry(number: int) -> Entry:
    return Entry(project_id=1, kind=1, body=b"%d" % number, context=inbox.encode_context({"n": number}))


def numbers() -> list[int]:
    return sorted(int(bytes(body)) for body in InboxEntry.objects.values_list("body", flat=True))


def come_back(proxy):
    proxy.mode = OPEN
    until(lambda: not spool.segments())


def test_while_it_is_away_entries_are_taken_and_afterwards_they_are_in_the_inbox(committer, proxy):
    committer.accept(make_entry(0))
    proxy.mode = REFUSE
    for number in range(1, 20):
        committer.accept(make_entry(number))
    assert numbers() == [0]
    assert spool.waiting() == 19
    come_back(proxy)
    assert numbers() == list(range(20))
    entry = InboxEntry.objects.get(context__n=7)
    assert (entry.project_id, entry.kind, entry.coding, entry.attempts) == (1, 1, "", 0)


def test_what_was_taken_keeps_its_time(committer, proxy):
    proxy.mode = REFUSE
    begun = time.time()
    committer.accept(make_entry(1))
    ended = time.time()
    come_back(proxy)
    assert begun - 0.001 <= InboxEntry.objects.get().received_at.timestamp() <= ended


def test_nobody_waits_for_a_database_that_is_known_to_be_away(committer, proxy, monkeypatch):
    """One group finds out; the ones after it do not even try."""
    monkeypatch.setattr(inbox, "PROBE_EVERY_S", 60)
    proxy.mode = REFUSE
    committer.accept(make_entry(1))
    proxy.mode = OPEN
    for number in range(2, 6):
        committer.accept(make_entry(number))
    assert (numbers(), spool.waiting()) == ([], 5)
    committer._is_back()
    committer.accept(make_entry(6))
    assert numbers() == [6]
    with connect("test", patience_ms=5000) as connection:
        assert moving.move_all(connection) == 5
    assert numbers() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("mode", [CUT_BEFORE, CUT_AFTER])
def test_a_commit_of_which_nobody_heard_is_kept_once(committer, proxy, mode):
    committer.accept(make_entry(1))
    proxy.mode = mode
    committer.accept(make_entry(2), make_entry(3))
    assert proxy.commits == 2
    assert spool.waiting() == 2
    assert numbers() == ([1, 2, 3] if mode == CUT_AFTER else [1])
    come_back(proxy)
    assert numbers() == [1, 2, 3]


@pytest.mark.parametrize("mode", [CUT_BEFORE, CUT_AFTER])
def test_a_commit_whose_connection_broke_is_asked_about_over_the_next_one(
    committer, proxy, mode, monkeypatch
):
    committer.accept(make_entry(1))
    connected = committer._connected

    def later():
        if committer._connection is None:
            proxy.mode = OPEN
        return connected()

    monkeypatch.setattr(committer, "_connected", later)
    proxy.mode = mode
    committer.accept(make_entry(2))
    assert proxy.commits == (2 if mode == CUT_AFTER else 3)
    assert not committer._away
    assert numbers() == [1, 2]


@pytest.mark.parametrize("drained", [True, False])
def test_what_was_drained_meanwhile_is_not_moved_again(committer, proxy, drained):
    """The row of the writer tells, not the entries: those may be gone already."""
    committer.accept(make_entry(1))
    proxy.mode = CUT_AFTER
    committer.accept(make_entry(2))
    if drained:
        InboxEntry.objects.all().delete()
    come_back(proxy)
    assert numbers() == ([] if drained else [1, 2])


def test_a_database_that_hangs_is_left_alone(committer, proxy, monkeypatch):
    monkeypatch.setattr(inbox, "HUNG_S", 0.1)
    committer.accept(make_entry(0))
    proxy.mode = HANG
    at_once(4, lambda n: committer.accept(make_entry(n + 1)))
    assert numbers() == [0]
    assert spool.waiting() == 4
    come_back(proxy)
    assert numbers() == [0, 1, 2, 3, 4]


def test_a_measure_that_hangs_holds_nobody_up(committer, proxy, monkeypatch):
    committer.accept(make_entry(0))
    until(lambda: committer._chore_begun is None)
    monkeypatch.setattr(inbox, "HUNG_S", 0.1)
    monkeypatch.setattr(inbox, "LOOK_EVERY_S", 0.01)
    commit = committer._commit

    def then_hang(flight):
        done = commit(flight)
        proxy.mode = HANG
        return done

    monkeypatch.setattr(committer, "_commit", then_hang)
    committer.accept(make_entry(1))
    monkeypatch.setattr(committer, "_commit", commit)
    committer.accept(make_entry(2))
    come_back(proxy)
    assert numbers() == [0, 1, 2]


def test_many_senders_over_many_breaks_each_find_their_entry_once(committer, proxy):
    """Every way of breaking, again and again, while sixteen threads hand in."""
    modes = [CUT_AFTER, OPEN, CUT_BEFORE, OPEN, REFUSE, OPEN, CUT_AFTER, OPEN] * 3

    def hand_in(number):
        if number == 16:
            for mode in modes:
                proxy.mode = mode
                time.sleep(0.03)
            proxy.mode = OPEN
            return
        for n in range(40):
            committer.accept(make_entry(number * 100 + n))

    at_once(17, hand_in)
    come_back(proxy)
    assert numbers() == sorted(number * 100 + n for number in range(16) for n in range(40))


def test_a_full_spool_promises_nothing_and_a_full_disk_neither(committer, proxy, settings):
    proxy.mode = REFUSE
    settings.SPOOL_MAX_BYTES = 500
    taken = []
    with pytest.raises(InboxUnavailable) as caught:
        for number in range(100):
            committer.accept(make_entry(number))
            taken.append(number)
    assert caught.value.retry_after_s == 5
    assert 1 < len(taken) < 20
    assert spool.size_bytes() <= 500
    settings.SPOOL_MAX_BYTES, settings.DISK_FLOOR_BYTES = 10**9, 2**60
    with pytest.raises(InboxUnavailable):
        committer.accept(make_entry(100))
    settings.DISK_FLOOR_BYTES = 0
    committer.accept(make_entry(101))
    come_back(proxy)
    assert numbers() == [*taken, 101]


def test_what_is_no_fault_of_the_database_is_not_spooled(committer):
    with pytest.raises(InboxUnavailable):
        committer.accept(Entry(project_id=1, kind=1, body=b"", coding="x" * 99))
    assert spool.segments() == []
    assert not committer._away


def test_a_writer_that_was_forgotten_registers_again(committer):
    committer.accept(make_entry(1))
    InboxWriter.objects.all().delete()
    committer.accept(make_entry(2))
    assert numbers() == [1, 2]
    assert InboxWriter.objects.count() == 1


def test_a_new_process_moves_what_a_dead_one_left(committer, proxy):
    proxy.mode = REFUSE
    committer.accept(make_entry(1))
    committer._spool.close()  # as a death would
    heir = Committer()
    proxy.mode = OPEN
    heir.accept(make_entry(2))
    until(lambda: not spool.segments())
    assert numbers() == [1, 2]
    heir.close()


# --- The doors ----------------------------------------------------------------------------------------------------
DOORS = {
    "envelope": ("/api/{}/envelope/", lambda: make_envelope({"message": "x"}), 200),
    "store": ("/api/{}/store/", lambda: b'{"message":"x"}', 200),
    "server": ("/api/errors/", lambda: b'{"message":"x","route":"/basket/add"}', 201),
    "client": ("/api/errors/client", lambda: b'{"message":"x","route":"/basket/add"}', 201),
    "batch": ("/api/errors/batch", lambda: b'[{"message":"x","route":"/basket/add"}]', 202),
    "track": ("/api/analytics/track", lambda: b'{"event":"feature_used","data":{"feature":"x"}}', 200),
}


@pytest.mark.parametrize("mode", [REFUSE, HANG])
def test_every_door_takes_reports_while_it_is_away_and_they_are_placed_as_before(proxy, mode, monkeypatch):
    monkeypatch.setattr(inbox, "HUNG_S", 0.1)
    monkeypatch.setattr(keys, "FRESH_S", 0.0)
    monkeypatch.setattr(routes, "FRESH_S", 0.0)
    monkeypatch.setattr(keys, "PATIENCE_MS", 100)
    project = make_project()
    RoutingRule.objects.create(project=project, pattern="/basket", component="Payments", order=1)
    assert knock("server", project) == 201
    proxy.mode = mode
    assert {name: knock(name, project) for name in DOORS} == {
        name: status for name, (_, _, status) in DOORS.items()
    }
    come_back(proxy)
    drain.drain(now=timezone.now(), slot=0)
    placed = Counter(ErrorEvent.objects.values_list("component__name", flat=True))
    assert placed == {"Payments": 4, "API Services": 2}


def knock(name: str, project) -> int:
    path, body, _ = DOORS[name]
    return post(path.format(project.pk), body(), HTTP_AUTHORIZATION=f"Bearer {KEY}").status
