"""`python -m apps.core.embedded.reset`: delete the embedded servers' data, unless something uses them."""

import shutil
import sys
from pathlib import Path

from apps.core.embedded.paths import data_dir, socket_dir
from apps.core.embedded.server import MARK
from apps.core.embedded.sharing import holder_of


def main(argv: list[str]) -> int:
    """Ask (unless --force), then delete; 0 when nothing is left, 1 when it was refused."""
    data = data_dir()
    if not data.exists():
        sys.stderr.write(f"{data} does not exist: nothing to delete.\n")
        return 0
    reason = refusal(data)
    if reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    if "--force" not in argv and not agreed(f"Delete everything in {data}? [y/N] "):
        sys.stderr.write("Nothing was deleted.\n")
        return 1
    sockets = socket_dir(data)
    if sockets.parent != data:
        shutil.rmtree(sockets, ignore_errors=True)
    shutil.rmtree(data)
    sys.stderr.write(f"Deleted {data}.\n")
    return 0


def refusal(data: Path) -> str:
    """Why this directory must not be deleted now; empty if it may be."""
    if not (data / MARK).exists():
        return f"{data} has no {MARK}, so it is not the portal's to delete. Look, and delete it by hand."
    holder = holder_of(data)
    return f"{holder} uses {data}. Stop it first." if holder else ""


def agreed(question: str) -> bool:
    """A yes from the terminal; silence is a no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
