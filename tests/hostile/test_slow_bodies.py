"""Senders that dawdle: each holds a thread of the web server, none of them for longer than the deadline."""

import contextlib
import socket
import threading

import pytest

from apps.core.slow_bodies import LARGE, MOST_LARGE, MOST_SLOW, SLOW_AFTER_S, Body, Watch, overdue
from tests.at_once import at_once
from tests.hostile.inputs import PATHS
from tests.hostile.wire import AUTH, connection, head, is_well, post, read_answer

THREADS = MOST_SLOW + 16
DOORS = list(PATHS.values())
LENGTH = b"Content-Length: 1000"


def begin(port: int, path: str = DOORS[0], *headers: bytes, sent: bytes = b"{") -> socket.socket:
    """A request that stops in its body."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=60)
    opened.sendall(head(path.encode(), AUTH, *(headers or (LENGTH,))) + sent)
    return opened


@contextlib.contextmanager
def trickling(connections: list[socket.socket]):
    """A byte a moment on each, until the other side has enough of it."""
    over = threading.Event()

    def trickle() -> None:
        living = list(connections)
        while not over.wait(0.3):
            for each in list(living):
                try:
                    each.send(b" ")
                except OSError:
                    living.remove(each)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def refused_as_slow(opened: socket.socket) -> None:
    answer = read_answer(opened)
    assert (answer.status, answer.json["code"]) == (408, "too_slow"), answer
    assert [d["field"] for d in answer.json["details"]] == ["body"]
    assert answer.json["requestId"] == answer.headers["x-request-id"]
    assert opened.recv(1) == b""  # and nothing more can be sent on it


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        ((LENGTH,), b"{"), ((LENGTH,), b""), ((b"Transfer-Encoding: chunked",), b"1\r\n{\r\n"),
        ((LENGTH, b"Expect: 100-continue"), b""),
    ],
    ids=["stops", "never begins", "chunked", "waits to be told"],
)  # fmt: skip
def test_a_body_that_stops_is_refused_in_the_one_form_and_its_connection_closed(portal, framing, sent):
    held = [begin(portal.port, path, *framing, sent=sent) for path in DOORS]
    assert is_well(portal.port)
    for each in held:
        with each:
            refused_as_slow(each)


def test_a_body_that_trickles_is_no_better(portal):
    held = [begin(portal.port, path) for path in DOORS]
    with trickling(held):
        for each in held:
            with each:
                refused_as_slow(each)
    assert is_well(portal.port)


def test_a_page_is_no_way_around_the_deadline(portal):
    form = b"Content-Type: application/x-www-form-urlencoded"
    token = b"Cookie: csrf-%d=%s" % (portal.port, b"t" * 32)
    with begin(portal.port, "/admin/login/", LENGTH, form, token, sent=b"username=mallory") as held:
        refused_as_slow(held)


def test_three_times_as_many_slow_senders_as_threads_stop_nobody_else(portal):
    held = [begin(portal.port) for _ in range(3 * THREADS)]
    with trickling(held):
        good = at_once(8, lambda _: is_well(portal.port))
        assert all(good)
        for each in held:
            with each:
                refused_as_slow(each)
    assert all(at_once(THREADS, lambda _: is_well(portal.port)))


def test_of_large_bodies_only_so_many_are_held_at_once_and_small_ones_pass(portal):
    half = b"x" * (LARGE + 64 * 1024)
    whole = b'{}\n{"type":"x"}\n' + 2 * half
    length = b"Content-Length: %d" % (2 * len(half))
    held = [begin(portal.port, DOORS[0], length, sent=half) for _ in range(2 * MOST_LARGE)]
    assert is_well(portal.port)
    answers = []
    for each in held:
        with each:
            answers.append(read_answer(each))
    assert {a.status for a in answers} == {408, 429}
    for busy in (a for a in answers if a.status == 429):
        assert (busy.json["code"], busy.json["details"][0]["field"]) == ("busy", "body")
        assert int(busy.headers["retry-after"]) > 0
    assert post(portal.port, DOORS[0], whole).status == 200


def test_the_neighbours_of_a_slow_sender_keep_their_connections(portal):
    """All come from one address, as behind a proxy."""
    good = b'{}\n{"type":"event"}\n{"message":"a neighbour"}'
    request = head(b"/api/1/envelope/", AUTH, b"Content-Length: %d" % len(good)) + good
    with connection(portal.port) as neighbour, begin(portal.port) as slow:
        slow.setblocking(False)
        while True:
            neighbour.sendall(request)
            assert read_answer(neighbour).status == 200
            try:
                assert slow.recv(12) == b"HTTP/1.1 408"
                break
            except BlockingIOError:
                continue
        neighbour.sendall(request)
        assert read_answer(neighbour).status == 200


def test_a_slow_sender_who_is_done_in_time_is_served(portal):
    good = b'{}\n{"type":"event"}\n{"message":"from a train"}'
    with connection(portal.port) as opened:
        opened.sendall(head(b"/api/1/envelope/", AUTH, b"Content-Length: %d" % len(good)))
        for n in range(len(good)):
            opened.sendall(good[n : n + 1])
        assert read_answer(opened).status == 200


# --- Whose turn it is to go -------------------------------------------------------------------------------------
def make_body(began: float) -> Body:
    body = Body(None, Watch(deadline_s=20))
    body.began = began
    return body


def test_a_body_is_late_at_its_deadline():
    young, old = make_body(began=80.5), make_body(began=80)
    assert overdue([young, old], 100, deadline_s=20, most_slow=16) == [old]


def test_of_too_many_slow_bodies_the_oldest_go_first():
    now = 100.0
    bodies = [make_body(began=now - SLOW_AFTER_S - n) for n in range(5)]
    fresh = [make_body(began=now - SLOW_AFTER_S + 0.1) for _ in range(50)]
    assert overdue(fresh + bodies, now, deadline_s=20, most_slow=3) == [bodies[4], bodies[3]]
    assert overdue(fresh, now, deadline_s=20, most_slow=3) == []
