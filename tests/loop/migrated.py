"""A data directory with all migrations applied, made once for a state of the code: the portals that tests start begin
with a copy of it, which saves each of them most of its start."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.core.processes import PROJECT, environment

PLACE = PROJECT / "var" / "test-migrated"
# What belongs to the running servers of the original, or would give the copy away as somebody else's.
LEFT_OUT = ("locks", "log", "run")


def copy_to(data: Path) -> None:
    """Make `data` such a copy. Several test processes may ask at once: the first one makes the original."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        original = PLACE / _digest()
        if not (original / "made").exists():
            _make(original)
        subprocess.run(["cp", "-a", original, data], check=True)
    (data / "made").unlink()
    for name in LEFT_OUT:
        shutil.rmtree(data / name, ignore_errors=True)


def _digest() -> str:
    """Of all that decides what the migrations make."""
    files = sorted([*PROJECT.glob("*/migrations/*.py"), *PROJECT.glob("apps/*/migrations/*.py")])
    files += [PROJECT / "requirements.lock", *sorted(PROJECT.glob("apps/core/embedded/*"))]
    seen = hashlib.sha256()
    for file in files:
        if file.is_file():
            seen.update(file.name.encode() + file.read_bytes())
    return seen.hexdigest()[:8]


def _make(original: Path) -> None:
    for old in PLACE.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    original.mkdir()
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=PROJECT, env=environment(original), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (original / "made").touch()
