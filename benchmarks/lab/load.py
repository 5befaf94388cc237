"""The load client where there is no C compiler: same arguments, same results as load.c, by four processes of threads.

    python -m benchmarks.lab.load PORT HEAD CORPUS CONNECTIONS FIRST COUNT TIMINGS

It takes many times the CPU of load.c from the machine it measures, so its rates are lower bounds.
"""

import http.client
import os
import socket
import sys
import threading
import time
from pathlib import Path

from benchmarks.lab.client import TIMING, read_corpus

PROCESSES = 4
PATIENCE_S = 60


class Wire:
    """One kept connection that sends its share of the bodies, each when the answer to the last one is whole."""

    def __init__(self, port: int, head: bytes, bodies: list[bytes]) -> None:
        self.port, self.head, self.bodies = port, head, bodies
        self.socket: socket.socket | None = None
        self.written = bytearray()

    def run(self) -> None:
        """All of them."""
        for body in self.bodies:
            sent = time.time()
            status = self._send(body)
            self.written += TIMING.pack(sent, time.time(), status)

    def _send(self, body: bytes) -> int:
        for kept in (self.socket is not None, False):
            try:
                return self._exchange(body)
            except (OSError, http.client.HTTPException):
                self.socket = None
                if not kept:  # a fresh connection broke: that is an answer, too
                    break
        return 0

    def _exchange(self, body: bytes) -> int:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (self.head, len(body), body))
        answer = http.client.HTTPResponse(self.socket, method="POST")
        answer.begin()
        answer.read()
        if answer.will_close:
            self.socket.close()
            self.socket = None
        return answer.status


def run_threads(wires: list[Wire], file: Path) -> None:
    """One thread a connection; the timings of all go to the file."""
    threads = [threading.Thread(target=wire.run) for wire in wires]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.write_bytes(b"".join(bytes(wire.written) for wire in wires))


def main(arguments: list[str]) -> int:
    """Share the bodies out, fork, and put the timings together."""
    port, connections, first, count = (int(arguments[n]) for n in (0, 3, 4, 5))
    bodies = list(read_corpus(Path(arguments[2])))[first : first + count]
    if len(bodies) < count:
        sys.stderr.write("the corpus holds fewer bodies\n")
        return 2
    head, timings = Path(arguments[1]).read_bytes(), Path(arguments[6])
    wires = [Wire(port, head, bodies[n::connections]) for n in range(connections)]
    parts = [timings.with_suffix(f".{n}") for n in range(PROCESSES)]
    for number, part in enumerate(parts):
        if os.fork() == 0:
            run_threads(wires[number::PROCESSES], part)
            os._exit(0)
    failed = [os.wait()[1] for _ in parts]
    timings.write_bytes(b"".join(part.read_bytes() for part in parts))
    print(f"{sum(os.times()[:4]):.3f}")
    return int(any(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
