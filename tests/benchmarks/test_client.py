"""Both load clients against a real server: every body once, every answer timed."""

import random
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from benchmarks.lab import client, corpus
from tests.conftest import need


def make_server(received, answer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["X-Sentry-Auth"], body))
            answer(self)

        def log_message(self, *said):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def kept(handler):
    handler.send_response(429 if handler.path == "/full" else 200)
    handler.send_header("Content-Length", "2")
    handler.end_headers()
    handler.wfile.write(b"{}")


def chunked(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"2\r\n{}\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def closed_each_time(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(b"{}")


def hung_up(handler):
    handler.close_connection = True
    handler.connection.close()


def send(program, server, tmp_path, path="/", **more):
    bodies = [bytes([n]) * (n * 500 + 1) for n in range(30)]
    client.write_corpus(tmp_path / "corpus.bin", bodies)
    aim = client.Aim(server.server_port, path, {"X-Sentry-Auth": "Sentry sentry_key=a"})
    return bodies, client.send(program, aim, tmp_path / "corpus.bin", connections=4, **more)


@pytest.fixture(params=["c", "python"])
def program(request, tmp_path):
    if request.param == "python":
        return None
    need(shutil.which("gcc") or shutil.which("cc"), "no C compiler")
    return client.compiled(tmp_path)


@pytest.mark.parametrize("answer", [kept, chunked, closed_each_time])
def test_every_body_arrives_once_and_every_answer_is_timed(program, tmp_path, answer):
    received = []
    bodies, load = send(program, make_server(received, answer), tmp_path, "/api/7/envelope/", count=30)
    assert sorted(received) == sorted(("/api/7/envelope/", "Sentry sentry_key=a", body) for body in bodies)
    assert load.accepted == 30
    assert load.statuses() == {200: 30}
    assert all(t.done >= t.sent for t in load.timings)
    assert load.accepted_per_s > 0
    assert load.cpu_s >= 0


def test_a_part_of_a_corpus_can_be_sent(program, tmp_path):
    received = []
    bodies, load = send(program, make_server(received, kept), tmp_path, first=10, count=5)
    assert sorted(body for _, _, body in received) == sorted(bodies[10:15])
    assert len(load.timings) == 5


def test_refusals_and_broken_connections_are_not_accepted(program, tmp_path):
    _, refused = send(program, make_server([], kept), tmp_path, "/full", count=30)
    assert (refused.accepted, refused.statuses()) == (0, {429: 30})
    _, broken = send(program, make_server([], hung_up), tmp_path, count=30)
    assert (broken.accepted, broken.statuses()) == (0, {0: 30})


def test_more_than_the_corpus_holds_is_an_error(program, tmp_path):
    with pytest.raises(RuntimeError, match="corpus holds"):
        send(program, make_server([], kept), tmp_path, first=20, count=20)


def test_latencies_are_milliseconds_from_the_first_byte_to_the_last():
    load = client.Load([client.Timing(10.0, 10.0 + n / 1000, 200) for n in range(1, 101)], 0.0)
    assert round(load.latency_ms(0.99), 3) == 99.0
    assert round(load.accepted_per_s) == 1000


def test_records_are_about_a_kilobyte_and_unlike():
    rnd = random.Random(1)
    records = [corpus.record(rnd) for _ in range(50)]
    assert all(900 <= len(orjson.dumps(record)) <= 1000 for record in records)
    assert len({record["eventId"] for record in records}) == 50
