"""Child processes that die with us, and the account they run under.

PostgreSQL refuses to run as root. Root therefore becomes an ordinary number inside a private user
namespace, which needs no account and leaves every file with its owner; where the system refuses namespaces,
an unprivileged account.
"""

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

_LINUX = sys.platform == "linux"
_CLONE_NEWUSER, _PR_SET_PDEATHSIG = 0x10000000, 1  # Python 3.11 has no os.unshare and no prctl
_INSIDE_ID = 1000
_NO_ROOT = "PostgreSQL refuses to run as root, this system refuses user namespaces"
# Loaded before any fork: loading a library in a forked child may deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


class ServerError(Exception):
    """An embedded server cannot run. The text is one message for a person, with the ways out."""


@dataclass(frozen=True)
class Account:
    """Under which user a server runs: our own, a namespace's (root only) or `uid` (root only)."""

    namespace: bool = False
    uid: int | None = None

    def give(self, path: Path) -> None:
        """Hand a file or directory over to this account."""
        if self.uid is not None and path.lstat().st_uid != self.uid:
            os.chown(path, self.uid, -1, follow_symlinks=False)

    def check_reach(self, path: Path) -> None:
        """Raise ServerError if this account cannot walk to `path`; nobody's parents are opened for it."""
        closed = closed_parent(path, self.uid) if self.uid is not None else None
        if closed:
            name = user_name(self.uid or 0)
            raise ServerError(
                f"{_NO_ROOT}, and the user {name!r} may not enter {closed}.\n"
                "Run the portal as an ordinary user, move it (or PORTAL_DATA_DIR) to a place that others "
                "may enter, or set DATABASE_URL and REDIS_URL to servers of your own."
            )


def user_name(uid: int) -> str:
    """Name of an account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def closed_parent(path: Path, uid: int) -> Path | None:
    """First directory above `path` that `uid` may not enter, by owner and others (it has no groups)."""
    for parent in reversed(path.resolve().parents):
        info = parent.stat()
        needed = stat.S_IXUSR if info.st_uid == uid else stat.S_IXOTH
        if not info.st_mode & needed:
            return parent
    return None


def choose_account(home: Path) -> Account:
    """Account for a server whose files are in `home` (which may not exist yet).

    Whoever owns the files keeps them: root then acts as that user. ServerError for an ordinary user who
    would need somebody else's files.
    """
    owner = home.stat().st_uid if home.exists() else os.geteuid()
    if os.geteuid() == owner != 0:
        return Account()
    if os.geteuid() != 0:
        raise ServerError(
            f"{home} belongs to the user {user_name(owner)!r}: run this command as that user, "
            "or set PORTAL_DATA_DIR to a directory of your own."
        )
    if owner != 0:
        return Account(uid=owner)
    return Account(namespace=True) if namespaces_work() else Account(uid=_unprivileged_uid())


def _unprivileged_uid() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise ServerError(
            f"{_NO_ROOT}, and there is no user 'nobody'.\n"
            "Run the portal as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own."
        ) from None


@cache
def namespaces_work() -> bool:
    """Whether root may enter a user namespace here; container profiles and hardened kernels refuse."""
    if not _LINUX:
        return False
    try:
        probe = [sys.executable, "-S", "-c", ""]
        return not subprocess.run(
            probe, preexec_fn=_enter_namespace, stderr=subprocess.DEVNULL, check=False
        ).returncode
    except (OSError, subprocess.SubprocessError):
        return False


def _enter_namespace() -> None:
    if _libc is None or _libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INSIDE_ID} 0 1")
    Path("/proc/self/gid_map").write_text(f"{_INSIDE_ID} 0 1")


def die_with_parent(parent: int, sig: int = signal.SIGKILL) -> None:
    """Have us end by `sig` when our parent ends, however it ends.

    The kernel sees to it on Linux; elsewhere a thread looks every second, so call it after exec only.
    `parent` is the process id it had when it started us: if that one is gone already, no signal would ever
    come.
    """
    if _libc is None:
        threading.Thread(target=_watch_parent, args=(parent, sig), daemon=True).start()
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(sig))
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)


def _watch_parent(parent: int, sig: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), sig)


def _before_exec(account: Account, death_signal: int) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        if account.namespace:
            _enter_namespace()
        if _LINUX:
            die_with_parent(parent, death_signal)  # last: a change of user clears it

    return prepare


def spawn(
    command: Sequence[str | Path],
    *,
    account: Account | None = None,
    death_signal: int = signal.SIGKILL,
    output: IO[bytes] | int | None = None,
    keep: Sequence[int] = (),
    env: dict[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a direct child in a session of its own, so that Ctrl-C reaches us alone and we choose the order.

    It gets `death_signal` when we die. Call from the main thread: the signal fires when the *thread* that
    started the child ends. `output` takes stdout and stderr; the descriptors in `keep` stay open in the
    child.
    """
    account = account or Account()
    drops = account.uid is not None
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd="/" if drops else None,
        env=env,
        pass_fds=keep,
        start_new_session=True,
        preexec_fn=_before_exec(account, death_signal),
        user=account.uid,
        group=_group(account.uid) if account.uid is not None else None,
        extra_groups=[] if drops else None,
    )


def _group(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid
