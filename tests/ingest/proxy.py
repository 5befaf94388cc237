"""A way to PostgreSQL that breaks on purpose: refuses, hangs, or cuts a commit before or after it arrived."""

import contextlib
import os
import select
import socket
import threading
from pathlib import Path

from django.db import connections

OPEN, REFUSE, HANG, CUT_BEFORE, CUT_AFTER = "open", "refuse", "hang", "cut before commit", "cut after commit"


class Proxy:
    """Between new connections of the door and the real server; `mode` may change at any time."""

    def __init__(self, place: Path, monkeypatch) -> None:
        connections["default"].ensure_connection()  # the test itself looks past us
        settings = connections.settings["default"]
        self.port = settings["PORT"] or "5432"
        self.real = os.path.join(settings["HOST"], f".s.PGSQL.{self.port}")
        self.mode = OPEN
        self.commits = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(place, f".s.PGSQL.{self.port}"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()
        monkeypatch.setitem(settings, "HOST", str(place))

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.mode == REFUSE:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.real)
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Bytes both ways, until one end closes or the mode says so."""
        swallow = False
        with client, server, contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([client, server], [], [], 0.02)
                if self.mode == REFUSE:
                    return
                for end in ready if self.mode != HANG else ():
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client and b"COMMIT" in data:
                        self.commits += 1
                        if self.mode == CUT_BEFORE:
                            self.mode = REFUSE
                            return
                        swallow = self.mode == CUT_AFTER
                    if end is server and swallow:  # it is done, and nobody hears of it
                        self.mode = REFUSE
                        return
                    (server if end is client else client).sendall(data)
