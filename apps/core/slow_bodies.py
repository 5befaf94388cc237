"""A deadline for the whole of a request's body, whichever door or page reads it.

The server reads bodies on the threads that answer, waits for each byte as long as the sender likes, and cannot be
interrupted: a few connections that send a byte a second, or none, would hold every thread. So the bodies that are being
read are known here, and a thread of each web process looks at them every second. It closes the receiving half of a
connection whose body is late: the waiting read ends, and its request is refused like any other.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import structlog

from apps.core import connections

Environ = dict[str, Any]

log = structlog.get_logger("portal.slow_bodies")
LOOK_EVERY_S = 1.0
# From this age on a body's connection is watched too, so that it is known when the body's end is decided on.
WATCHED_AFTER_S = 1.0
# A body of this age is a slow one. Only so many of them are waited for at a time.
SLOW_AFTER_S = 3.0
MOST_SLOW = 16
_NOT_YET_SEEN_S = WATCHED_AFTER_S + 1.5 * LOOK_EVERY_S


class BodyTooSlow(TimeoutError):
    """The body did not come within its deadline; what was read of it is worth nothing."""


class Body:
    """A request's input whose reads are watched. The deadline counts from the first of them."""

    def __init__(self, stream: Any, watch: "Watch", place: connections.Place, told_to_go_on: bool) -> None:
        self._stream, self._watch = stream, watch
        self.place = place
        self.told_to_go_on = told_to_go_on
        self.began = 0.0
        self.is_cut = False

    def read(self, *size: int) -> bytes:
        """As the server's stream. Raises BodyTooSlow."""
        return self._watched(self._stream.read, *size)  # type: ignore[no-any-return]

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
        self._reading: dict[int, Body] = {}
        self._unanswered = connections.Unanswered()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, body: Body) -> None:
        """Look after it until `remove`."""
        self._reading[id(body)] = body
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def remove(self, body: Body) -> None:
        """Its read returned."""
        self._reading.pop(id(body), None)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="slow-bodies", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception:  # the edge of one look: the next one comes
                log.exception("slow bodies could not be looked at")

    def look(self) -> None:
        """End the reads that are late."""
        now, reading = time.monotonic(), list(self._reading.copy().values())
        if not any(now - body.began >= WATCHED_AFTER_S for body in reading):
            self._unanswered.forget()
            return
        self._unanswered.look(now)
        late = overdue(reading, now, deadline_s=self.deadline_s, most_slow=self.most_slow)
        for body in late:
            body.is_cut = True
        for place, bodies in _by_place(late).items():
            cut = self._unanswered.stop_receiving(
                place,
                now,
                waiting_for_s=now - max(b.began for b in bodies) - _NOT_YET_SEEN_S,
                idle_too=any(b.told_to_go_on for b in bodies),
            )
            log.warning("bodies came too slowly", bodies=len(bodies), connections=cut)


def overdue(bodies: Iterable[Body], now: float, *, deadline_s: float, most_slow: int) -> list[Body]:
    """Bodies as old as the deadline, and the oldest slow ones beyond `most_slow`; `now` in monotonic seconds."""
    slow = sorted((b for b in bodies if now - b.began >= SLOW_AFTER_S), key=lambda b: b.began)
    beyond = max(0, len(slow) - most_slow)
    return [b for n, b in enumerate(slow) if n < beyond or now - b.began >= deadline_s]


def _by_place(bodies: list[Body]) -> dict[connections.Place, list[Body]]:
    places: dict[connections.Place, list[Body]] = {}
    for body in bodies:
        places.setdefault(body.place, []).append(body)
    return places


class BodyDeadline:
    """WSGI application in front of another one, whose requests' bodies get the deadline."""

    def __init__(self, inner: WSGIApplication, watch: Watch) -> None:
        self.inner, self.watch = inner, watch

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = Body(
            environ["wsgi.input"],
            self.watch,
            (connections.address_of(str(environ.get("REMOTE_ADDR"))), str(environ.get("SERVER_PORT"))),
            bool(environ.get("HTTP_EXPECT")),
        )
        return self.inner(environ, start_response)
