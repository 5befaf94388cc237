"""This process's accepted TCP connections, as the kernel sees them. Linux only; elsewhere there are none to see."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

# struct tcp_info: 8 bytes, then 32-bit numbers, among them the milliseconds since data was sent and received last.
_LAST_SENT, _LAST_RECEIVED = 8 + 4 * 9, 8 + 4 * 12
_ENOUGH_OF_IT = 104
_OWN_FILES = "/proc/self/fd"
# The kernel's clock has steps of a hundredth of a second at most.
_SAME_MOMENT_S = 0.1

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A connection at one look: when it was last sent to, since when it is known to wait, whether it looks idle."""

    place: Place
    sent_at: float
    since: float
    is_idle: bool


class Unanswered:
    """Which connections wait for an answer, and since when they were seen to; looked at again and again.

    A connection on which nothing was sent since it last received something waits. One that only rests between two
    requests looks idle. So does one whose client was told to go on (`Expect: 100-continue`) and does not.
    """

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def look(self, now: float) -> None:
        """Remember what waits at `now` (monotonic seconds), and since which look it does."""
        self._seen = {number: self._as_before(number, seen) for number, _, seen in _looked_at(now)}

    def forget(self) -> None:
        """Nothing is of interest any more."""
        self._seen.clear()

    def _as_before(self, number: int, seen: _Seen) -> _Seen:
        held = self._seen.get(number)
        same = held and held.is_idle == seen.is_idle and abs(held.sent_at - seen.sent_at) < _SAME_MOMENT_S
        return held if held and same else seen

    def stop_receiving(self, place: Place, now: float, *, waiting_for_s: float, idle_too: bool) -> int:
        """Close the receiving half of those of `place` (their address, our port); returns how many.

        The server can still send on them: a refusal reaches its client.
        """
        stopped = 0
        for number, connection, seen in _looked_at(now):
            held = self._as_before(number, seen)
            if seen.place == place and now - held.since >= waiting_for_s and (idle_too or not seen.is_idle):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
                    stopped += 1
        return stopped


def _looked_at(now: float) -> Iterator[tuple[int, socket.socket, _Seen]]:
    """Each accepted connection by its number, under a file of its own that is closed after use."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(_OWN_FILES):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    yield os.fstat(connection.fileno()).st_ino, connection, _see(connection, now)


def _see(connection: socket.socket, now: float) -> _Seen:
    facts = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ENOUGH_OF_IT)
    sent_ms, received_ms = (struct.unpack_from("=I", facts, at)[0] for at in (_LAST_SENT, _LAST_RECEIVED))
    theirs, ours = connection.getpeername(), connection.getsockname()
    place = address_of(str(theirs[0])), str(ours[1])
    return _Seen(place, now - sent_ms / 1000, now, is_idle=received_ms > sent_ms)


def address_of(text: str) -> str:
    """One spelling of an address, without the name of a link behind it; what is none comes back as it is."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return text
