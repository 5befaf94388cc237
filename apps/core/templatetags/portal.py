"""Tags of the pages: badges, times, figures, drawings. Bad values become a dash, never an error."""

from collections.abc import Iterable
from datetime import date, datetime
from itertools import islice

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core import wording
from apps.core.badges import TONES, badge_of
from apps.core.markdown import encodable, render_markdown, show_marks

register = template.Library()
SPARK_BARS = 120
_SPARK_HEIGHT = 24
register.filter("markdown", render_markdown)
register.filter("marks", show_marks)


def _use(name: str, css: str) -> SafeString:
    safe = "".join(c for c in str(name) if c.isascii() and (c.isalnum() or c == "-")) or "info"
    return format_html(
        '<svg class="{}" viewBox="0 0 16 16" aria-hidden="true"><use href="{}#{}"></use></svg>',
        css,
        static("portal/icons.svg"),
        safe,
    )


@register.simple_tag
def icon(name: str, large: bool = False) -> SafeString:
    """A symbol of the sprite; always beside a word, so hidden from screen readers."""
    return _use(name, "icon icon--l" if large else "icon")


@register.simple_tag
def badge(state: object, label: object = "") -> SafeString:
    """A state as shape and word; `label` may say it more precisely."""
    found = badge_of(state)
    shape = _use(found.shape, "badge__shape")
    return format_html(
        '<span class="badge badge--{}">{}{}</span>',
        found.tone,
        shape,
        encodable(label) or encodable(found.word),
    )


@register.simple_tag
def when(at: object, ago: bool = True) -> SafeString:
    """ "13:12 CET · 12 min ago", the UTC time as tooltip. `ago=False` leaves the second half out."""
    found = wording.aware(at)
    if found is None:
        return _day(at)
    now = timezone.now()
    words = wording.clock_words(found, now, timezone.get_current_timezone())
    return _time(found, f"{words} · {wording.ago_words(found, now)}" if ago else words)


@register.simple_tag
def since(at: object) -> SafeString:
    """How long ago: "12 min"; for a time to come "in 4 min"."""
    found = wording.aware(at)
    if found is None:
        return _day(at)
    return _time(found, wording.ago_words(found, timezone.now()).removesuffix(" ago"))


@register.simple_tag
def precise(at: object) -> SafeString:
    """The sender's own time to the millisecond; what is no time is shown as it came."""
    found = wording.moment(at)
    try:
        return (
            _time(found, wording.precise_words(found, timezone.get_current_timezone()))
            if found
            else show_marks(at)
        )
    except (ValueError, OverflowError):  # the ends of the calendar have no other zone
        return show_marks(at)


def _time(at: datetime, words: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), wording.utc_words(at), words
    )


def _day(at: object) -> SafeString:
    """A date without a time; anything else as text, nothing as a dash."""
    if isinstance(at, date):
        return format_html(
            '<time datetime="{}">{}</time>', at.isoformat(), wording.day_words(at, timezone.localdate())
        )
    return format_html("{}", encodable(at) or wording.NOTHING)


@register.simple_tag
def duration(seconds: object) -> str:
    """Seconds in at most two units: "1 h 3 min"."""
    return wording.duration_words(seconds)


@register.simple_tag
def figure(n: object) -> str:
    """A number with its thousands apart."""
    return wording.figure_words(n)


@register.simple_tag
def avatar(name: object) -> SafeString:
    """The initial in a circle, in one of four tints that stays with the name; the name stands beside it."""
    text = encodable(name)
    initial = next((c for c in text if c.isalnum()), "?").upper()[:1]
    tint = sum(map(ord, text)) % 4 + 1
    return format_html('<span class="avatar avatar--{}" aria-hidden="true">{}</span>', tint, initial)


@register.simple_tag
def meter(fraction: object, tone: str = "info", label: object = "") -> SafeString:
    """A bar of 0 to 1 beside its figure. What is no number is drawn empty and called "No data"."""
    found = wording.number(fraction)
    tone = "nodata" if found is None else tone if tone in TONES else "info"
    width = 0 if found is None else round(min(max(found, 0.0), 1.0) * 100)
    words = encodable(label) or ("No data" if found is None else f"{width} %")
    return format_html(
        '<svg class="meter meter--{}" viewBox="0 0 100 6" preserveAspectRatio="none" role="img">'
        "<title>{}</title>"
        '<rect class="meter__track" width="100" height="6"></rect>'
        '<rect class="meter__fill" width="{}" height="6"></rect></svg>',
        tone,
        words,
        width,
    )


@register.simple_tag
def spark(values: object, label: object = "") -> SafeString:
    """Bars of a series, oldest first. What is no number leaves a gap: no data is not zero."""
    given = islice(values, SPARK_BARS) if isinstance(values, Iterable) else ()
    series = [wording.number(value) for value in given]
    top = max((v for v in series if v is not None), default=0.0)
    span = max(len(series) * 4 - 1, 1)
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"><title>{}</title>'
        '<rect class="spark__base" y="23" width="{}" height="1"></rect>{}</svg>',
        span, _SPARK_HEIGHT, encodable(label) or "No data", span, _bars(series, top),
    )  # fmt: skip


def _bars(series: list[float | None], top: float) -> SafeString:
    if top <= 0:
        return mark_safe("")
    bars = ((place * 4, value / top) for place, value in enumerate(series) if value is not None and value > 0)
    drawn = ((x, max(1, round(part * _SPARK_HEIGHT))) for x, part in bars)
    return format_html_join(
        "", '<rect class="spark__bar" x="{}" y="{}" width="3" height="{}"></rect>',
        ((x, _SPARK_HEIGHT - height, height) for x, height in drawn),
    )  # fmt: skip
