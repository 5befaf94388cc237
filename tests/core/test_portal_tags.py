"""The tags of the pages, with the values that a hostile sender or a half-filled row would give them."""

import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.template import Context, Template
from django.utils import timezone

NOW = datetime(2025, 11, 22, 12, 24, tzinfo=UTC)
BEGAN = datetime(2025, 11, 22, 12, 12, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "</title></svg><script>alert(1)</script>",
    "{{ 7|add:7 }}{% now 'Y' %}",
    "a\u202eb\u2066c",
    "\x00 lone \ud800 surrogate",
    "x" * 50_000,
]
NOTHING = [None, "", float("nan"), float("inf"), float("-inf"), object(), [], "words"]


def drawn(source: str, **values) -> str:
    """What a template of this source shows, read at NOW in Berlin."""
    with time_machine.travel(NOW, tick=False), timezone.override(BERLIN):
        return Template("{% load portal %}" + source).render(Context(values))


def parsed(html: str) -> ET.Element:
    """The markup as a tree: hostile text that became markup either breaks it or shows up as an element."""
    return ET.fromstring(f"<div>{html.replace(chr(0), '')}</div>")


def elements(html: str) -> set[str]:
    return {element.tag for element in parsed(html).iter()}


def attributes(html: str) -> set[str]:
    return {name for element in parsed(html).iter() for name in element.attrib}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "source",
    [
        "{% badge v %}",
        "{% badge 'critical' v %}",
        "{% when v %}",
        "{% since v %}",
        "{% duration v %}",
        "{% figure v %}",
        "{% avatar v %}",
        "{% icon v %}",
        "{% meter v v v %}",
        "{% meter 0.5 v v %}",
        "{% spark v v %}",
        "{% spark series v %}",
        "{% precise v %}",
        "{{ v|marks }}",
    ],
)
def test_hostile_text_stays_text_in_every_tag(source, text):
    html = drawn(source, v=text, series=[1, 2, 3])
    html.encode()
    allowed = {"div", "span", "svg", "use", "title", "rect", "time"}
    assert elements(html) <= allowed
    assert not {name for name in attributes(html) if name.startswith("on") or name == "style"}


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize(
    "tag", ["badge v", "when v", "since v", "duration v", "figure v", "avatar v", "precise v"]
)
def test_a_missing_or_senseless_value_is_said_without_an_error(tag, value):
    elements(drawn("{% " + tag + " %}", v=value))


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize(
    "source", ["{% meter v %}", "{% spark v 'Events' %}", "{{ v|markdown }}", "{{ v|marks }}"]
)
def test_a_missing_or_senseless_value_is_drawn_without_an_error(source, value):
    elements(drawn(source, v=value))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "words"])
def test_no_number_is_a_dash_and_never_a_zero(value):
    assert drawn("{% figure v %}", v=value) == "–"
    assert drawn("{% duration v %}", v=value) == "–"


def test_a_meter_without_a_number_says_no_data_and_stays_empty():
    html = drawn("{% meter v 'ok' %}", v=float("nan"))
    assert "meter--nodata" in html
    assert "No data" in html
    assert parsed(html).find(".//rect[@class='meter__fill']").get("width") == "0"


@pytest.mark.parametrize(("fraction", "width"), [(-3, "0"), (0, "0"), (0.31, "31"), (1, "100"), (7, "100")])
def test_a_meter_stays_within_its_track(fraction, width):
    tree = parsed(drawn("{% meter v 'ok' 'Budget left' %}", v=fraction))
    assert tree.find(".//rect[@class='meter__fill']").get("width") == width


def test_a_gap_in_a_series_stays_a_gap_and_a_zero_draws_no_bar():
    tree = parsed(drawn("{% spark v 'Events' %}", v=[4, None, float("nan"), 0, 8]))
    bars = tree.findall(".//rect[@class='spark__bar']")
    assert [bar.get("x") for bar in bars] == ["0", "16"]
    assert int(bars[0].get("height")) * 2 == int(bars[1].get("height"))


def test_a_drawing_says_what_it_shows():
    tree = parsed(drawn("{% spark v label %}", v=[1, 2], label="Events, last 24 h"))
    svg = tree.find("svg")
    assert svg.get("role") == "img"
    assert svg.find("title").text == "Events, last 24 h"


@pytest.mark.parametrize(
    ("state", "tone", "word"),
    [
        ("Critical", "critical", "Critical"),
        ("Major", "error", "Major"),
        ("Minor", "warning", "Minor"),
        ("info", "info", "Info"),
        ("firing", "critical", "Firing"),
        ("acknowledged", "info", "Acknowledged"),
        ("resolved", "ok", "Resolved"),
        ("regressed", "error", "Regressed"),
        ("in_review", "info", "In review"),
        ("changes_requested", "warning", "Changes requested"),
        (None, "nodata", "No data"),
        ("something new", "neutral", "Something new"),
    ],
)
def test_a_badge_is_a_tone_a_shape_and_a_word(state, tone, word):
    html = drawn("{% badge v %}", v=state)
    span = parsed(html).find("span")
    assert span.get("class") == f"badge badge--{tone}"
    assert span.find("svg/use") is not None
    assert "".join(span.itertext()).strip() == word


def test_a_label_replaces_the_word_and_keeps_the_shape():
    plain, told = drawn("{% badge 'firing' %}"), drawn("{% badge 'firing' 'Nobody has it' %}")
    assert "Nobody has it" in told
    assert plain.replace("Firing", "Nobody has it") == told


def test_a_time_names_its_zone_its_distance_and_utc():
    time = parsed(drawn("{% when v %}", v=BEGAN)).find("time")
    assert time.text == "13:12 CET · 11 min ago"
    assert time.get("title") == "2025-11-22 12:12:05 UTC"
    assert datetime.fromisoformat(time.get("datetime")) == BEGAN


def test_how_long_ago_is_said_in_whole_minutes():
    assert ">3 min<" in drawn("{% since v %}", v=NOW - timedelta(seconds=182))


def test_a_time_to_come_says_in():
    assert "13:28 CET · in 4 min" in drawn("{% when v %}", v=NOW + timedelta(minutes=4))
    assert ">in 4 min<" in drawn("{% since v %}", v=NOW + timedelta(minutes=4))


def test_a_time_of_another_day_names_the_day():
    assert "20 Nov 13:12 CET" in drawn("{% when v %}", v=BEGAN - timedelta(days=2))


@pytest.mark.parametrize(
    "at", ["2025-11-22T12:12:05.250Z", "2025-11-22T12:12:05.250", 1763813525.25, "1763813525.25"]
)
def test_a_senders_time_is_shown_to_the_millisecond_however_it_was_written(at):
    assert ">13:12:05.250 CET<" in drawn("{% precise v %}", v=at)


@pytest.mark.parametrize("at", ["14:01:58", "9" * 40, -1e300, "0001-01-01T00:00:00", "9999-12-31T23:59:59Z"])
def test_what_is_no_time_of_this_calendar_is_shown_as_it_came(at):
    assert elements(drawn("{% precise v %}", v=at)) <= {"div", "time"}


def test_a_naive_time_is_read_as_utc():
    assert drawn("{% when v %}", v=BEGAN.replace(tzinfo=None)) == drawn("{% when v %}", v=BEGAN)


@pytest.mark.parametrize("at", [datetime.min, datetime.max, datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar_are_drawn(at):
    assert elements(drawn("{% when v %}{% since v %}", v=at)) == {"div", "time"}


def test_a_date_has_no_hour():
    assert ">24 Dec<" in drawn("{% when v %}", v=date(2025, 12, 24))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.85, "850 ms"),
        (45, "45 s"),
        (182, "3 min 2 s"),
        (719, "11 min"),
        (3780, "1 h 3 min"),
        (100_800, "1 d 4 h"),
    ],
)
def test_a_duration_is_said_in_at_most_two_units(seconds, words):
    assert drawn("{% duration v %}", v=seconds) == words
    assert drawn("{% duration v %}", v=timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("n", "words"), [(0, "0"), (1284, "1,284"), (1_912_440, "1,912,440"), (14.2, "14.2")]
)
def test_a_figure_has_its_thousands_apart(n, words):
    assert drawn("{% figure v %}", v=n) == words


def test_an_icon_is_hidden_from_screen_readers():
    assert parsed(drawn("{% icon 'search' %}")).find("svg").get("aria-hidden") == "true"


@pytest.mark.parametrize("text", HOSTILE[:4])
def test_html_in_markdown_is_shown_and_not_run(text):
    assert not elements(drawn("{{ v|markdown }}", v=text)) - {"div", "p"}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//example.org",
        "file:///x",
    ],
)
def test_markdown_links_nowhere_but_to_the_web(url):
    assert "<a" not in drawn("{{ v|markdown }}", v=f"[here]({url})")


def test_a_link_in_markdown_gives_nothing_away_to_its_target():
    link = parsed(drawn("{{ v|markdown }}", v="[here](https://example.org/a?b=1&c=2)")).find(".//a")
    assert link.get("href") == "https://example.org/a?b=1&c=2"
    assert set(link.get("rel").split()) >= {"noopener", "nofollow"}


def test_markdown_loads_no_picture_from_elsewhere():
    assert "<img" not in drawn("{{ v|markdown }}", v="![a](https://example.org/a.png)")


def test_characters_that_hide_are_shown_by_their_code():
    html = drawn("{{ v|marks }}", v="user\u202egnp.exe\u200b\x1b")
    assert [mark.text for mark in parsed(html).iter("span")] == ["U+202E", "U+200B", "U+001B"]
