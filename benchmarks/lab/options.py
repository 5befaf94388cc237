"""What every benchmark can be told, and how it says what it found."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from benchmarks.lab.figures import Table, parse_size


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--runs", type=size, default=3, help="of each figure; median and (min–max) are shown"
    )
    options.add_argument("--quick", action="store_true", help="small and once: to see that it works")
    options.add_argument(
        "--markdown", action="store_true", help="print the table for docs/benchmarks.md only"
    )
    options.add_argument(
        "--quiet-wait",
        type=float,
        default=60,
        help="seconds to wait before a run until others leave the machine alone",
    )
    return options


def parse(
    options: argparse.ArgumentParser, argv: Sequence[str] | None, **quick: object
) -> argparse.Namespace:
    """The chosen options; `quick` gives what --quick sets, which options given by hand override."""
    if options.parse_known_args(argv)[0].quick:
        options.set_defaults(runs=1, quiet_wait=0.0, **quick)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped benchmark stops what it started
    return options.parse_args(argv)


def size(text: str) -> int:
    """One count, such as 5000 or 1e4."""
    try:
        return parse_size(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number such as 5000 or 1e4") from None


def sizes(text: str) -> list[int]:
    """Counts, separated by commas."""
    return [size(part) for part in text.split(",")]


def progress(chosen: argparse.Namespace) -> Callable[[str], None]:
    """Where to say what is being done; never into the table."""

    def say(text: str) -> None:
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()

    return say


def show(chosen: argparse.Namespace, tables: Sequence[Table]) -> None:
    """Print them in the form that was asked for."""
    drawn = [table.markdown() if chosen.markdown else table.text() for table in tables]
    print("\n\n".join(drawn))
