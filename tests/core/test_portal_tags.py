"""Tags of the pages: what they say, and that no value breaks or escapes them."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.models import AlertState, EscalationState, PageState
from apps.core import wording
from apps.core.badges import BADGES, SHAPES, TONES, badge_of
from apps.core.markdown import render_markdown, show_marks
from apps.core.severity import RecordSeverity, Severity
from apps.core.templatetags import portal
from apps.errors.models import GroupStatus
from apps.incidents.models import ActionItem, IncidentState, PostMortemState

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 11, 22, 12, 24, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOSTILE = '"><script>alert(1)</script><b onmouseover=x>\x00\u202e\ud800'
ALLOWED = {"svg", "use", "title", "rect", "span", "time"}
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.dates(),
    st.timedeltas(),
    st.decimals(),
    st.lists(st.one_of(st.none(), st.floats(), st.text())),
    st.just(HOSTILE),
)


class Elements(HTMLParser):
    """The elements and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def drawn(source: str, **values: object) -> str:
    return Template("{% load portal %}" + source).render(Context(values))


def symbols() -> set[str]:
    tree = ElementTree.parse(ROOT / "static/portal/icons.svg")
    return {e.attrib["id"] for e in tree.iter("{http://www.w3.org/2000/svg}symbol")}


@given(value=anything, label=anything)
def test_no_value_breaks_a_tag_or_adds_an_element(value, label):
    html = drawn(
        "{% badge v l %}{% when v %}{% when v False %}{% since v %}{% duration v %}{% figure v %}{% avatar v %}"
        "{% meter v l l %}{% spark v l %}{% icon v %}{{ v|marks }}",
        v=value,
        l=label,
    )
    html.encode("utf-8")
    found = Elements(html)
    assert set(found.tags) <= ALLOWED
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]


@given(text=st.text() | st.just(HOSTILE))
def test_markdown_of_strangers_adds_no_script_no_image_and_no_event(text):
    found = Elements(render_markdown(text))
    assert not {"script", "img", "iframe", "style", "object", "form", "input", "svg"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/admin/",
        "x",
    ],
)
def test_markdown_links_lead_to_the_web_and_nowhere_else(address):
    assert "<a" not in render_markdown(f"[press]({address})")
    assert "<a" not in render_markdown(f"[press][1]\n\n[1]: {address}")
    assert "<a" not in render_markdown(f"<{address}>")


def test_markdown_links_give_no_opener_and_no_weight():
    html = render_markdown("[runbook](https://example.org/a?b=1&c=2)")
    assert html == (
        '<p><a href="https://example.org/a?b=1&amp;c=2" rel="noopener nofollow">runbook</a></p>\n'
    )


def test_html_in_markdown_is_shown_as_text():
    assert "&lt;script&gt;" in render_markdown("<script>alert(1)</script>")
    assert "&lt;b&gt;" in render_markdown("a <b>bold</b> word")


def test_controls_that_hide_or_turn_text_are_shown():
    html = show_marks("a\u202eb\u200bc\x1bd\te\n")
    assert re.findall(r">(U\+[0-9A-F]+)<", html) == ["U+202E", "U+200B", "U+001B"]
    assert html.endswith("d\te\n")
    assert show_marks("<b>") == "&lt;b&gt;"


def test_removed_secrets_are_set_off():
    assert show_marks("key=[removed]&a=<1>") == ('key=<span class="removed">[removed]</span>&amp;a=&lt;1&gt;')


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW - timedelta(minutes=12), "13:12 CET · 12 min ago"),
        (NOW + timedelta(minutes=4), "13:28 CET · in 4 min"),
        (NOW, "13:24 CET · just now"),
        (NOW - timedelta(days=2, hours=4), "20 Nov 09:24 CET · 2 d 4 h ago"),
        (NOW - timedelta(days=400), "18 Oct 2024 14:24 CEST · 400 d ago"),
    ],
)
def test_a_time_is_said_with_its_zone_and_its_distance(at, said):
    assert f"{wording.clock_words(at, NOW, BERLIN)} · {wording.ago_words(at, NOW)}" == said


def test_when_carries_the_utc_time_for_machines_and_for_the_doubtful():
    at = timezone.now() - timedelta(minutes=12)
    with timezone.override(BERLIN):
        html = portal.when(at)
    assert f'datetime="{at.isoformat()}"' in html
    assert f'title="{at:%Y-%m-%d %H:%M:%S} UTC"' in html
    assert "12 min ago</time>" in html


def test_a_naive_time_is_read_as_utc():
    assert wording.aware(datetime(2025, 1, 1)) == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_date_is_shown_without_a_time_of_day():
    assert portal.when(date(2019, 3, 4)) == '<time datetime="2019-03-04">4 Mar 2019</time>'


def test_the_ends_of_time_are_shown_too():
    for end in (datetime.min, datetime.max):
        for zone in (BERLIN, ZoneInfo("America/Los_Angeles"), ZoneInfo("Pacific/Kiritimati")):
            with timezone.override(zone):
                assert str(end.year) in portal.when(end)


def test_zones_without_letters_are_written_as_an_offset():
    assert wording.clock_words(NOW, NOW, ZoneInfo("America/Sao_Paulo")) == "09:24 UTC-03"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.85, "850 ms"), (0.0001, "1 ms"), (45, "45 s"), (360, "6 min"), (3780, "1 h 3 min"),
        (7200, "2 h"), (187200, "2 d 4 h"), (-360, "−6 min"), (timedelta(minutes=6), "6 min"), (None, "–"),
        (float("nan"), "–"), (float("inf"), "–"), ("six", "–"), (Decimal("90"), "1 min"),
    ],
)  # fmt: skip
def test_a_duration_has_at_most_two_units(seconds, said):
    assert wording.duration_words(seconds) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(1284, "1,284"), (0, "0"), (4.06, "4.1"), (0.0123, "0.012"), (-1500.4, "-1,500"), (None, "–"), ("x", "–"),
     (float("nan"), "–"), (10**400, "–")],
)  # fmt: skip
def test_a_figure_has_its_thousands_apart(n, said):
    assert wording.figure_words(n) == said


@pytest.mark.parametrize(
    "choices",
    [Severity, RecordSeverity, AlertState, EscalationState, PageState, GroupStatus, IncidentState, PostMortemState,
     ActionItem.State],
)  # fmt: skip
def test_every_state_of_a_model_has_a_look_of_its_own(choices):
    missing = [state for state in choices.values if state.lower() not in BADGES]
    assert missing == []


def test_states_of_one_machine_are_told_apart_without_colour():
    for told_apart in (Severity.values, ["unresolved", "resolved", "ignored", "regressed"],
                       ["firing", "acknowledged", "resolved", "nodata"]):  # fmt: skip
        shapes = [badge_of(state).shape for state in told_apart]
        assert len(set(shapes)) == len(shapes), told_apart


def test_shapes_and_tones_are_those_that_are_drawn():
    assert {badge.shape for badge in BADGES.values()} <= set(SHAPES)
    assert {badge.tone for badge in BADGES.values()} <= set(TONES)
    assert set(SHAPES) <= symbols()
    styles = (ROOT / "static/portal/components.css").read_text()
    assert [tone for tone in TONES if f".badge--{tone} " not in styles] == []


def test_icons_that_templates_name_exist():
    pages = "".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    named = set(re.findall(r"{% icon '([a-z-]+)'", pages)) | set(re.findall(r'icon="([a-z-]+)"', pages))
    assert named - symbols() == set()


def test_icons_that_the_menu_names_exist():
    from reliability_portal.admin import MENU

    assert {entry.icon for entries in MENU.values() for entry in entries} - symbols() == set()


def test_a_badge_says_its_word_and_takes_a_better_one():
    assert ">Critical</span>" in drawn("{% badge 'critical' %}").replace("</svg>", ">")
    assert "Nobody has it" in drawn("{% badge 'nobody' %}")
    assert "Below gate" in drawn("{% badge 'error' 'Below gate' %}")
    assert "No data" in drawn("{% badge nothing %}", nothing=None)


def test_an_unknown_state_keeps_its_word_and_claims_nothing():
    badge = badge_of("half_open")
    assert (badge.tone, badge.word) == ("neutral", "Half open")


def test_no_data_is_neither_zero_nor_full():
    meter = drawn("{% meter x 'ok' %}", x=float("nan"))
    assert "meter--nodata" in meter
    assert "<title>No data</title>" in meter


def test_a_meter_stays_within_its_bounds():
    widths = [re.search(r'fill" width="(\d+)"', drawn("{% meter x %}", x=x)).group(1) for x in (-1, 0.31, 7)]
    assert widths == ["0", "31", "100"]


def test_a_spark_leaves_gaps_where_nothing_was_measured():
    html = drawn("{% spark v 'Events' %}", v=[1, None, float("nan"), 4])
    assert re.findall(r'spark__bar" x="(\d+)" y="(\d+)" width="3" height="(\d+)"', html) == [
        ("0", "18", "6"), ("12", "0", "24"),
    ]  # fmt: skip
    assert "<title>Events</title>" in html


def test_an_avatar_shows_the_first_letter_and_keeps_its_tint():
    assert ">A</span>" in portal.avatar("alice")
    assert ">?</span>" in portal.avatar(None)
    assert portal.avatar("Bob") == portal.avatar("Bob")
