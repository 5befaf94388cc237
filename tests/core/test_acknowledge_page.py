"""The phone page behind a page's link: light, without script, POST only, and whole when facts are missing."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template.loader import render_to_string

STATIC = Path(__file__).parents[2] / "static" / "portal"
NOW = datetime(2025, 11, 22, 12, 18, tzinfo=UTC)
HOSTILE = "\"><script>alert(1)</script> ' onload='x \u202egnp"


class Read(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def make_page(**changes) -> str:
    context = {
        "number": "INC-217",
        "title": "Card payments fail for one user in twenty-five",
        "sentence": "4.1 % of 8,240 requests to Payments failed in 5 minutes. The limit is 1 %.",
        "severity": "critical",
        "now": NOW,
        "facts": [
            {"label": "Since", "at": NOW},
            {"label": "State", "state": "firing", "value": "Nobody has it"},
            {"label": "Users hit", "value": 0},
            {"label": "If you do nothing", "value": "Bob is called at 13:21"},
        ],
        "verbs": [
            {"label": "Acknowledge", "consequence": "paging stops", "url": "/i/a", "tone": "primary"},
            {"label": "Escalate", "consequence": "Bob is called now", "url": "/i/e", "tone": "plain"},
            {"label": "I can't", "consequence": "the next is called", "url": "/i/c", "tone": "plain"},
        ],
        "token": "once",
        "runbook": {"title": "payment failures", "steps": ["Check the gateway's status page"]},
        "incident_url": "/admin/incidents/incident/217/change/",
    }
    return render_to_string("portal/acknowledge.html", context | changes)


def test_the_page_with_all_it_loads_is_lighter_than_thirty_kilobytes():
    page = make_page()
    loaded = set(re.findall(r"portal/([a-z.]+\.(?:css|svg))", page))
    assert {"tokens.css", "acknowledge.css", "icons.svg"} <= loaded
    weight = len(page.encode()) + sum((STATIC / name).stat().st_size for name in loaded)
    assert weight <= 30_000


def test_the_page_runs_no_script_and_carries_no_style():
    assert not re.search(r"<script|<style|style=|\son[a-z]+=|javascript:", make_page())


def test_every_verb_is_a_post_that_carries_the_one_time_token():
    forms = re.findall(r"<form.*?</form>", make_page(), flags=re.S)
    assert len(forms) == 3
    assert all('method="post"' in form and 'name="token" value="once"' in form for form in forms)


def test_somebody_signed_in_sends_no_token():
    assert 'name="token"' not in make_page(token="")


def test_hostile_words_stay_words():
    row = {"label": HOSTILE, "value": HOSTILE, "state": ""}
    verb = {"label": HOSTILE, "consequence": HOSTILE, "url": HOSTILE, "tone": HOSTILE}
    page = make_page(title=HOSTILE, sentence=HOSTILE, number=HOSTILE, severity=HOSTILE, token=HOSTILE, said=HOSTILE,
                     facts=[row], verbs=[verb], runbook={"title": HOSTILE, "steps": [HOSTILE]})  # fmt: skip
    read = Read()
    read.feed(page)
    assert "script" not in read.tags
    assert not {name for name in read.attributes if name.startswith("on")}
    assert "U+202E" in page


PARTS = ["facts", "verbs", "runbook", "incident_url", "now", "sentence", "severity", "title"]


@pytest.mark.parametrize("missing", PARTS)
def test_the_page_stands_when_a_part_is_missing(missing):
    assert "</html>" in make_page(**{missing: None})


def test_a_missing_fact_says_no_data_and_a_zero_stays_a_zero():
    page = make_page(facts=[{"label": "Users hit", "value": None}, {"label": "Errors", "value": 0}])
    assert "No data" in page
    assert ">0<" in page
