"""Tables of analyses written out in Python: hundreds of cells through a template each would be half the page's time."""

from collections.abc import Callable
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.markdown import show_marks
from apps.core.templatetags import portal
from apps.reports.analytics.block import Column
from apps.reports.analytics.cells import Cell

register = template.Library()
_CSS = {
    "count": "num",
    "share": "num",
    "ms": "num",
    "time": "tight",
    "badge": "tight",
    "spark": "analysis__spark",
}


@register.simple_tag
def analysis_table(title: str, head: list[Column], lines: list[list[Cell]]) -> SafeString:
    """A table in its own scrolling region, the first cell of each line its heading."""
    return format_html(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}, table"><table class="table">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        title,
        format_html_join("", '<th scope="col" class="{}" title="{}">{}</th>', map(_heading, head)),
        format_html_join("", "<tr>{}</tr>", ((_line(line),) for line in lines)),
    )


def _heading(column: Column) -> tuple[str, str, str]:
    return "num" if _CSS.get(column.kind) == "num" else "", column.note, column.label


def _line(line: list[Cell]) -> SafeString:
    first, *rest = line
    cells = format_html_join("", '<td class="{}">{}</td>', ((_CSS.get(c.kind, ""), _drawn(c)) for c in rest))
    return format_html('<th scope="row">{}</th>{}', _drawn(first), cells)


def _drawn(cell: Cell) -> SafeString | str:
    draw = _DRAW.get(cell.kind)
    return draw(cell) if draw else show_marks(cell.words)


def _group(cell: Cell) -> SafeString:
    marks = format_html_join("", "{} ", ((portal.badge(mark),) for mark in cell.marks))
    return format_html(
        '<a href="{}">{}</a><span class="field-title__badges">{}<span class="quiet small">{}</span></span>',
        cell.url, show_marks(cell.words), marks, cell.note,
    )  # fmt: skip


def _rate(cell: Cell) -> SafeString:
    """With its bar; without data that is said, and no bar pretends."""
    if cell.value is None:
        return portal.badge("nodata", cell.note or "No data")
    note = format_html('<span class="quiet small">{}</span>', cell.note) if cell.note else ""
    bar = portal.meter(cell.value, "info", cell.words)
    return format_html('<span class="rate"><span class="num">{}</span>{}{}</span>', cell.words, bar, note)


def _badge(cell: Cell) -> SafeString | str:
    return portal.badge(cell.value) if cell.value else "–"


def _code(cell: Cell) -> SafeString:
    return format_html("<code>{}</code>", show_marks(cell.words))


_DRAW: dict[str, Callable[[Cell], Any]] = {
    "group": _group,
    "rate": _rate,
    "badge": _badge,
    "code": _code,
    "count": lambda cell: cell.words,
    "share": lambda cell: cell.words,
    "ms": lambda cell: cell.words,
    "time": lambda cell: portal.when(cell.value),
    "spark": lambda cell: portal.spark(cell.value, "Events over the range, oldest first"),
}
