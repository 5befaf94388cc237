"""Requests as bytes on a socket, for what no client library would send."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
PATIENCE_S = 300
AUTH = f"X-Sentry-Auth: Sentry sentry_version=7, sentry_key={KEY}".encode()


@dataclass
class Answer:
    """Status 0: the connection ended without an answer. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        assert self.body, self
        return json.loads(self.body)


@contextlib.contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    """An open connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as opened:
        yield opened


def head(path: bytes, *headers: bytes, method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
    """Everything before the body."""
    lines = (method + b" " + path + b" " + version, b"Host: 127.0.0.1", *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def exchange(port: int, sent: bytes, *, then_leave: bool = False) -> Answer:
    """Send these bytes and read one answer; `then_leave` closes the sending half behind them."""
    with connection(port) as opened:
        with contextlib.suppress(OSError):  # refused while it still sends: the answer waits
            opened.sendall(sent)
            if then_leave:
                opened.shutdown(socket.SHUT_WR)
        return read_answer(opened)


def read_answer(opened: socket.socket) -> Answer:
    """The next answer on a connection, past `100 Continue`."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := _receive(opened)):
            return Answer(0, {}, received)
        received = (received + piece).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    first, *lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = received.partition(b"\r\n\r\n")[2]
    while headers.get("transfer-encoding") == "chunked" and not body.endswith(b"0\r\n\r\n"):
        if not (piece := _receive(opened)):
            break
        body += piece
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(body.split(b"\r\n")[1::2])
    while len(body) < int(headers.get("content-length", 0)) and (piece := _receive(opened)):
        body += piece
    return Answer(int(first.split()[1]), headers, body)


def _receive(opened: socket.socket) -> bytes:
    try:
        return opened.recv(65536)
    except ConnectionError:
        return b""


def post(port: int, path: str, body: bytes, *headers: bytes, auth: bytes = AUTH) -> Answer:
    """A well-formed request around whatever body."""
    length = b"Content-Length: %d" % len(body)
    lines = [line for line in (auth, length, *headers) if line]
    return exchange(port, head(path.encode(), *lines) + body)


def is_well(port: int) -> bool:
    """A good event is accepted: what came before harmed nobody else."""
    good = b'{}\n{"type":"event"}\n{"message":"still well"}'
    return post(port, "/api/1/envelope/", good).status == 200
