"""Every state has a look that does without colour, and every look and icon is drawn."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from apps.alerts.models import AlertState, EscalationState, PageState
from apps.core.badges import BADGES, SHAPES, TONES, badge_of
from apps.core.severity import RecordSeverity, Severity
from apps.errors.models import GroupStatus
from apps.incidents.models import ActionItem, IncidentState, PostMortemState

ROOT = Path(__file__).parents[2]


def symbols() -> set[str]:
    tree = ElementTree.parse(ROOT / "static/portal/icons.svg")
    return {e.attrib["id"] for e in tree.iter("{http://www.w3.org/2000/svg}symbol")}


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


def test_an_unknown_state_keeps_its_word_and_claims_nothing():
    badge = badge_of("half_open")
    assert (badge.tone, badge.word) == ("neutral", "Half open")
