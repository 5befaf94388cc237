"""Cells of a table as the page shows them: words made here, so that templates choose nothing but the element."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from apps.core.wording import NOTHING, figure_words, latency_words, share_words
from apps.reports.analytics.block import Block, Column, Row


@dataclass(frozen=True)
class Cell:
    """`words` is what stands there, `value` what a bar, a spark line, a badge or a time is drawn from; `note` and
    `marks` (states, as badges) stand beneath."""

    kind: str
    words: str
    value: Any = None
    url: str = ""
    note: str = ""
    marks: tuple[str, ...] = ()


def head(block: Block) -> list[Column]:
    """The columns that the page has."""
    return [column for column in block.columns if column.shown]


def lines(block: Block, rows: list[Row]) -> list[list[Cell]]:
    """All rows of a table."""
    return [[_cell(column, row) for column in head(block)] for row in rows]


def words_of(kind: str, value: Any) -> str:
    """A value in the words of its kind; no data is a dash."""
    if value is None:
        return NOTHING
    if kind == "count":
        return figure_words(value)
    if kind in ("share", "rate"):
        return share_words(value)
    if kind == "ms":
        return latency_words(value)
    return str(value)


def _cell(column: Column, row: Row) -> Cell:
    value = row[column.name]
    words = "" if isinstance(value, datetime | list) else words_of(column.kind, value)
    if column.kind == "group":
        url = reverse("admin:errors_errorgroup_change", args=[row["group"]])
        marks = tuple(row[name] for name in ("mark", "severity") if row.get(name))
        return Cell(column.kind, words, value, url, row.get("component", ""), marks)
    return Cell(column.kind, words, value, note=row.get("note", "") if column.kind == "rate" else "")
