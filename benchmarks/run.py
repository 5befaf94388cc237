"""`make bench`: run the benchmarks, all or those named, one after the other; each prints its own table.

make bench ARGS="ingest pages --quick"     names first, then options, which go to each
make bench ARGS="ingest --docs"            puts its table into docs/benchmarks.md
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
DOCS = FOLDER.parent / "docs" / "benchmarks.md"


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "run"))


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Names, and from the first option on what goes to each of them."""
    first = next((n for n, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return arguments[:first], arguments[first:]


def placed(text: str, name: str, table: str) -> str:
    """The page with the table between the marks of that benchmark. ValueError where it has no such marks."""
    mark, end = f"<!-- {name} -->", "<!-- end -->"
    found = re.sub(
        f"{re.escape(mark)}.*?{re.escape(end)}",
        lambda _: f"{mark}\n{table.strip()}\n{end}",
        text,
        count=1,
        flags=re.S,
    )
    if mark not in found:
        raise ValueError(f"docs/benchmarks.md has no place for {name}")
    return found


def run(name: str, options: list[str]) -> int:
    """One benchmark as a process of its own; its exit code."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *(o for o in options if o != "--docs")]
    if "--docs" not in options:
        return subprocess.run(command, cwd=FOLDER.parent).returncode
    done = subprocess.run([*command, "--markdown"], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        DOCS.write_text(placed(DOCS.read_text(), name, done.stdout))
    return done.returncode


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
        failed |= run(name, options)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
