"""The arithmetic and the form of every table: medians, percentiles, spreads, text and Markdown. No clock, no files."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

Cell = str | int | float | None


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` (0…1) of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def rounded(value: float) -> str:
    """Three digits that mean something: 1,234 · 56.7 · 0.46."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """The median of the runs with their least and most; of a single run only itself."""
    middle = rounded(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({rounded(min(values))}–{rounded(max(values))})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How many times the median of theirs the median of ours is."""
    below = statistics.median(theirs)
    return f"{statistics.median(ours) / below:.1f} ×" if below else "–"


def per_event(seconds: dict[str, float], events: int) -> dict[str, float]:
    """CPU milliseconds an event, by process."""
    return {name: spent * 1000 / max(1, events) for name, spent in seconds.items()}


def parse_size(text: str) -> int:
    """`10000`, `1e4` or `10^4`: a whole number of one or more. Raises ValueError."""
    base, power, exponent = text.strip().partition("^")
    number = float(base) ** int(exponent) if power else float(base)
    if not number.is_integer() or number < 1:
        raise ValueError(f"{text!r} is not a whole number of one or more")
    return int(number)


@dataclass
class Table:
    """Rows under a heading. Cells are text, or numbers that are shown by `rounded`."""

    columns: Sequence[str]
    title: str = ""
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """One row; None is a dash."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append([_shown(cell) for cell in cells])

    def text(self) -> str:
        """For a terminal: columns in line."""
        lines = [list(self.columns), *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        drawn = ["  ".join(_placed(c, widths[i], i) for i, c in enumerate(line)).rstrip() for line in lines]
        drawn.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join([*([self.title] if self.title else []), *drawn, *self.notes])

    def markdown(self) -> str:
        """For docs/benchmarks.md."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.columns, rule, *self.rows)]
        title = [f"**{self.title}**", ""] if self.title else []
        notes = [line for note in self.notes for line in ("", note)]
        return "\n".join([*title, *lines, *notes])


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return rounded(cell) if isinstance(cell, float) else cell


def _placed(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
