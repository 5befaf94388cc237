"""What an analysis is made of: columns, rows and a sentence, the same for the page, the API and the CSV."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.core.charts import Series
from apps.reports.analytics.scope import Scope

# How a cell is shown; in the API it is the plain value. None is "no data" in each of them. `rate` has a bar and the
# row's "note" beneath; `group` leads to the group that the row's "group" names, with its marks beneath.
KINDS = ("text", "code", "count", "share", "rate", "ms", "time", "badge", "spark", "group")


Row = dict[str, Any]  # {column name: value}


@dataclass(frozen=True)
class Column:
    """`name` is the key of each row and the heading of the CSV. What is not `shown` is for programs, or the page has it
    inside another cell."""

    name: str
    label: str
    kind: str = "text"
    note: str = ""
    shown: bool = True


@dataclass(frozen=True)
class Figure:
    """One number above a table; `value` as in a cell of that kind."""

    name: str
    label: str
    value: Any
    kind: str
    how: str
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """Columns over time with the sentence that says what is to be seen."""

    series: Sequence[Series]
    labels: Sequence[str]
    sentence: str


@dataclass(frozen=True)
class Answer:
    """What an analysis came to. `more` says that rows were left out."""

    rows: list[Row]
    sentence: str = ""
    figures: list[Figure] = field(default_factory=list)
    chart: Chart | None = None
    more: bool = False


@dataclass(frozen=True)
class Block:
    """One analysis. `range` is what it covers where nobody asked otherwise; "" follows the page.

    `empty` is (what, how to send it) and shown where there is nothing.
    """

    name: str
    title: str
    tab: str
    columns: tuple[Column, ...]
    ask: Callable[[Scope], Answer]
    how: str
    empty: tuple[str, str]
    range: str = ""


@dataclass(frozen=True)
class Shown:
    """A block with what it answered, for a page."""

    block: Block
    scope: Scope
    answer: Answer


registry: dict[str, Block] = {}


def register(block: Block) -> Block:
    """Each analysis once, in the order in which the page has them."""
    registry[block.name] = block
    return block


def answered(block: Block, scope: Scope) -> Shown:
    """Ask one; analyses with a range of their own keep it where the page has another."""
    own = scope.over(block.range) if block.range else scope
    return Shown(block, own, block.ask(own))
