"""A deadline for the whole of a request's body, whichever door or page reads it, and a bound on large ones at once.

The server reads bodies on the threads that answer, waits for each byte as long as the sender likes, and cannot be
interrupted: a few connections that send a byte a second, or none, would hold every thread. So the bodies that are being
read are known here, and a thread of each web process looks at them every second. Where one is late it answers in place
of the thread that waits, and ends the connection, which ends the wait.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import orjson
import structlog

from apps.core import context, problems
from apps.core.refusal import TooManyLarge

Environ = dict[str, Any]

log = structlog.get_logger("portal.slow_bodies")
# Under this name the server puts the object that answers a request, whichever thread asks it to.
PROTOCOL = "portal.protocol"
LOOK_EVERY_S = 1.0
# A body of this age is a slow one. Only so many of them are waited for at a time in a process.
SLOW_AFTER_S = 2.0
MOST_SLOW = 48
_TO_BE_SENT_S = 0.3
# Bytes from which on a body is a large one, and how many of those a process holds at a time.
LARGE = 256 * 1024
MOST_LARGE = 16


class BodyTooSlow(TimeoutError):
    """The body did not come within its deadline; what was read of it is worth nothing."""


class Body:
    """A request's input whose reads are watched. The deadline counts from the first of them."""

    def __init__(self, stream: Any, watch: "Watch", protocol: Any = None) -> None:
        self._stream, self._watch = stream, watch
        self.protocol = protocol
        self.began = 0.0
        self.is_cut = False
        self._read = 0

    def read(self, *size: int) -> bytes:
        """As the server's stream. Raises BodyTooSlow, and TooManyLarge where this one is."""
        data: bytes = self._watched(self._stream.read, *size)
        if self._read <= LARGE < self._read + len(data) and not self._watch.large.acquire(blocking=False):
            raise TooManyLarge("too many large bodies at once")
        self._read += len(data)
        return data

    def leave(self) -> None:
        """The request is answered, and nothing holds its body any more."""
        if self._read > LARGE:
            self._watch.large.release()

    def readline(self, *size: int) -> bytes:
        """As the server's stream. Raises BodyTooSlow."""
        return self._watched(self._stream.readline, *size)  # type: ignore[no-any-return]

    def readlines(self, *hint: int) -> list[bytes]:
        """As the server's stream. Raises BodyTooSlow."""
        return self._watched(self._stream.readlines, *hint)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _watched(self, read: Callable[..., Any], *arguments: int) -> Any:
        self.began = self.began or time.monotonic()
        self._watch.add(self)
        try:
            data = read(*arguments)
        finally:
            self._watch.remove(self)
        if self.is_cut:
            raise BodyTooSlow("the body came too slowly")
        return data


class Watch:
    """The bodies that this process is reading, and the thread that looks after them; begun by the first of them."""

    def __init__(self, *, deadline_s: float, most_slow: int = MOST_SLOW) -> None:
        self.deadline_s, self.most_slow = deadline_s, most_slow
        self.large = threading.BoundedSemaphore(MOST_LARGE)
        self._reading: dict[int, Body] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, body: Body) -> None:
        """Look after it until `remove`."""
        with self._lock:
            self._reading[id(body)] = body
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="slow-bodies", daemon=True)
                self._thread.start()

    def remove(self, body: Body) -> None:
        """Its read returned."""
        with self._lock:
            self._reading.pop(id(body), None)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception:  # the edge of one look: the next one comes
                log.exception("slow bodies could not be looked at")

    def look(self) -> None:
        """Refuse the bodies that are late, and end their connections."""
        with self._lock:
            late = overdue(
                self._reading.values(), time.monotonic(), deadline_s=self.deadline_s, most_slow=self.most_slow
            )
            for body in late:
                body.is_cut = True  # the thread that reads it answers nothing else any more
                self._reading.pop(id(body))
        if late:
            log.warning("bodies came too slowly", bodies=len(late))
        for body in late:
            if body.protocol is not None:
                threading.Thread(target=_refuse, args=(body.protocol,), name="slow-body", daemon=True).start()


def overdue(bodies: Iterable[Body], now: float, *, deadline_s: float, most_slow: int) -> list[Body]:
    """Bodies as old as the deadline, and the oldest slow ones beyond `most_slow`; `now` in monotonic seconds."""
    slow = sorted((b for b in bodies if now - b.began >= SLOW_AFTER_S), key=lambda b: b.began)
    beyond = max(0, len(slow) - most_slow)
    return [b for n, b in enumerate(slow) if n < beyond or now - b.began >= deadline_s]


class _EndsTooEarly:
    """The bytes of an answer, then a moment for them to be sent, then no more, though one more was announced.

    A server keeps a connection whose request is not read to its end, and the read would wait on; one whose answer
    broke off it drops.
    """

    def __init__(self, body: bytes) -> None:
        self._bodies = [body]

    def __next__(self) -> bytes:
        if self._bodies:
            return self._bodies.pop()
        time.sleep(_TO_BE_SENT_S)
        raise StopIteration

    def close(self) -> None:
        """Nothing to let go of."""


def _refuse(protocol: Any) -> None:
    """Answer in the one form, in place of the thread that waits for the body; then the connection ends."""
    with context.entered(context.RequestContext()) as held:
        kind = problems.SLOW
        said = problems.of_field("body", kind.code, kind.message)
        body = orjson.dumps(problems.body(kind, f"body: {kind.message}", [said]))
    headers = [
        ("Content-Type", problems.CONTENT_TYPE),
        ("Content-Length", str(len(body) + 1)),
        ("X-Request-ID", held.request_id),
        ("Access-Control-Allow-Origin", "*"),
        ("Connection", "close"),
    ]
    protocol.response_iter(kind.status, headers, _EndsTooEarly(body))


class BodyDeadline:
    """WSGI application in front of another one, whose requests' bodies get the deadline and the bound."""

    def __init__(self, inner: WSGIApplication, watch: Watch) -> None:
        self.inner, self.watch = inner, watch

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = body = Body(environ["wsgi.input"], self.watch, environ.get(PROTOCOL))
        try:
            return self.inner(environ, start_response)
        finally:
            body.leave()
