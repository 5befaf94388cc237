"""`make bench`: run the benchmarks, all or those named, one after the other; each prints its own table.

make bench ARGS="ingest pages --quick"     names first, then options, which go to each
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "run"))


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Names, and from the first option on what goes to each of them."""
    first = next((n for n, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return arguments[:first], arguments[first:]


def main(arguments: list[str]) -> int:
    """Run them; 2 for an unknown name, 1 if one failed."""
    wanted, options = split(arguments)
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        sys.stderr.write(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(names())}.\n")
        return 2
    failed = 0
    for name in wanted or names():
        sys.stderr.write(f"== {name}\n")
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        failed |= subprocess.run(command, cwd=FOLDER.parent).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
