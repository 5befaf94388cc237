"""`make bench`: run the benchmarks, all or those named, one after the other; each prints its own figures."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "run"))


def main(wanted: list[str]) -> int:
    """Run them; 2 for an unknown name, 1 if one failed."""
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        sys.stderr.write(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(names())}.\n")
        return 2
    failed = 0
    for name in wanted or names():
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
