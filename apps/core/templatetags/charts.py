"""Charts drawn on the server: columns in an SVG that stretches, their labels in HTML around it."""

from collections.abc import Callable, Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core import charts, wording

register = template.Library()
_WORDS: dict[str, Callable[[object], str]] = {"figure": wording.figure_words, "size": wording.size_words}


@register.inclusion_tag("portal/chart.html")
def columns(
    series: Sequence[charts.Series], labels: Sequence[str], sentence: str, unit: str = "figure",
    limit: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Stacked columns over time. `labels` one a column; `sentence` says in words what is to be seen. `limit` is drawn
    as a line across, and the chart is high enough for it."""
    shown = charts.fold(series)
    top = charts.round_top(max(charts.highest(shown), limit or 0))
    words = _WORDS[unit]
    return {
        "plot": _plot(shown, len(labels), top, sentence, limit),
        "legend": [(_tone(place, s), s.name) for place, s in enumerate(shown)] if len(shown) > 1 else [],
        "ups": [words(top), words(top / 2), "0"],
        "alongs": [labels[0], labels[len(labels) // 2], labels[-1]] if len(labels) > 2 else labels,
    }


def _tone(place: int, series: charts.Series) -> str:
    """The name of its colour: its own, by its place among the six, or s0 for the rest."""
    rest = series.name == charts.OTHER and place >= charts.MOST_SERIES
    return series.tone or f"s{0 if rest else place + 1}"


def _plot(
    shown: Sequence[charts.Series], count: int, top: float, sentence: str, limit: float | None
) -> SafeString:
    tones = [_tone(place, series) for place, series in enumerate(shown)]
    lines = format_html_join(
        "",
        '<line class="chart__line" x1="0" x2="{}" y1="{}" y2="{}"></line>',
        ((count * 10, y, y) for y in (0, 50, 100)),
    )
    drawn = format_html_join(
        "", '<rect class="chart__{}" x="{}" y="{}" width="7.5" height="{}"></rect>',
        ((tones[b.place], b.x * 10 + 1.25, b.y, b.height) for b in charts.blocks(shown, top)),
    )  # fmt: skip
    return format_html(
        '<svg class="chart__plot" viewBox="0 0 {} 100" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}{}{}</svg>',
        max(count, 1) * 10, sentence, lines, drawn or mark_safe(""), _limit(limit, top, count),
    )  # fmt: skip


def _limit(limit: float | None, top: float, count: int) -> SafeString:
    if limit is None:
        return mark_safe("")
    y = round(100 - max(limit, 0) / top * 100, 2)
    return format_html('<line class="chart__limit" x1="0" x2="{}" y1="{}" y2="{}"></line>', count * 10, y, y)


@register.simple_tag
def swatch(tone: str) -> SafeString:
    """The colour of a series beside its name."""
    return format_html(
        '<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">'
        '<rect class="chart__{}" width="10" height="10" rx="2"></rect></svg>',
        tone,
    )


@register.simple_tag
def size(n: object) -> str:
    """Bytes: "1.2 GB"."""
    return wording.size_words(n)
