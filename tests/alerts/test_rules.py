"""The condition language, and what one more reading means."""

import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.rules import Bounds, Condition, Memory, Reading, RuleRefused, Settled, Terms, judge, parse

BOUNDS = {
    "errorCount": Bounds(),
    "errorsPerMinute": Bounds(whole=False),
    "errorRate": Bounds(high=100, whole=False, ratio=True, unit="%"),
    "latencyP95": Bounds(whole=False, ratio=True, unit="ms"),
}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "threshold", "expected"),
    [
        ("errorRate > 5", None, Condition("errorRate", ">", 5)),
        ("  errorRate>5% ", None, Condition("errorRate", ">", 5)),
        ("errorCount >= 10", 10, Condition("errorCount", ">=", 10)),
        ("errorCount >", 10, Condition("errorCount", ">", 10)),
        ("errorCount == 0", None, Condition("errorCount", "==", 0)),
        ("errorsPerMinute <= 0.5", None, Condition("errorsPerMinute", "<=", 0.5)),
        ("latencyP95 > 500", None, Condition("latencyP95", ">", 500)),
        ("latencyP95 > 500ms", None, Condition("latencyP95", ">", 500)),
        ("latencyP95 > 1.5 s", 1500, Condition("latencyP95", ">", 1500)),
        ("errorRate == 99.5", None, Condition("errorRate", "==", 99.5)),
    ],
)
def test_a_condition_is_read(text, threshold, expected):
    assert parse(text, threshold=threshold, bounds=BOUNDS) == expected


@pytest.mark.parametrize(
    ("text", "threshold", "said"),
    [
        ("errorRat > 5", None, "Unknown measure errorRat. Did you mean errorRate? Known: errorCount"),
        ("errorrate > 5", None, "Did you mean errorRate"),
        ("nonsense > 5", None, "Unknown measure nonsense. Known: errorCount"),
        ("errorCount > 5 %", None, "errorCount has no unit; % does not fit"),
        ("errorRate > 5 ms", None, "errorRate is in %; ms does not fit"),
        ("latencyP95 > 5 min", None, "Write a measure"),
        ("latencyP95 > 99%", None, "latencyP95 is in ms"),
        ("latencyP95 < 0 s", None, "can never hold"),
        ("errorCount > 9" + "9" * 400, None, "Write a measure"),
        ("errorCount > 5", 6, "The condition says 5, the threshold 6"),
        ("errorCount >", None, "Give a number"),
        ("errorCount", 5, "Write a measure"),
        ("", None, "Write a measure"),
        ("errorCount > __import__('os').getpid()", None, "code are not read"),
        ("errorCount > 5 or True", None, "code are not read"),
        ("errorCount > 1e3", None, "Write a measure"),
        ("errorCount > nan", None, "Write a measure"),
        ("errorRate > 100", None, "can never hold"),
        ("errorRate == 101", None, "can never hold"),
        ("errorCount < 0", None, "can never hold"),
        ("errorCount <= -1", None, "can never hold"),
        ("errorCount == 2.5", None, "can never hold"),
        ("errorCount >= 0", None, "always holds"),
        ("errorRate <= 100", None, "always holds"),
    ],
)
def test_a_condition_is_refused_with_its_reason(text, threshold, said):
    with pytest.raises(RuleRefused, match=re.escape(said)):
        parse(text, threshold=threshold, bounds=BOUNDS)


def test_two_unequal_numbers_are_laid_to_the_threshold():
    with pytest.raises(RuleRefused) as refusal:
        parse("errorCount > 5", threshold=6, bounds=BOUNDS)
    assert refusal.value.field == "threshold"


TERMS = Terms(Condition("errorCount", ">", 10), for_s=60, resolve_after_s=120)


def walk(terms, *steps, settled=None):
    """Acts of a sequence of (second, value), the alert opening and closing as judged."""
    memory, firing, acts = Memory(), False, []
    for second, value in steps:
        verdict = judge(terms, memory, Reading(value, value or 0), at(second), firing=firing, settled=settled)
        memory, firing = verdict.memory, {"fire": True, "resolve": False}.get(verdict.act, firing)
        acts.append(verdict.act)
    return acts


@pytest.mark.parametrize(
    ("steps", "acts"),
    [
        (((0, 11), (30, 11), (60, 11), (70, 12)), ["", "", "fire", "still"]),
        (((0, 11), (30, 3), (60, 11), (119, 11), (120, 11)), ["", "", "", "", "fire"]),
        (((0, 11), (60, 11), (70, 0), (180, 0), (190, 0)), ["", "fire", "", "", "resolve"]),
        (((0, 11), (60, 11), (70, 0), (180, 11), (200, 0), (310, 0), (320, 0)),
         ["", "fire", "", "still", "", "", "resolve"]),
        # No data breaks the run of evidence in both directions.
        (((0, 11), (30, None), (60, 11), (120, 11)), ["", "", "", "fire"]),
        (((0, 11), (60, 11), (70, 0), (100, None), (190, 0), (310, 0)), ["", "fire", "", "", "", "resolve"]),
        (((0, None), (500, None)), ["", ""]),
        # A tick that comes hours late sees a condition that may have lapsed: it is taken as one run, and
        # fires once.
        (((0, 11), (7200, 11), (7210, 11)), ["", "fire", "still"]),
    ],
)  # fmt: skip
def test_a_sequence_of_readings(steps, acts):
    assert walk(TERMS, *steps) == acts


def test_without_for_it_fires_at_once_and_a_new_onset_counts_again():
    terms = Terms(Condition("errorCount", ">", 10), resolve_after_s=600)
    assert walk(terms, (0, 11), (10, 11), (20, 0), (30, 11)) == ["fire", "still", "", "fire"]


def test_zero_seconds_leaves_resolving_to_people():
    terms = Terms(Condition("errorCount", ">", 10))
    assert walk(terms, (0, 11), (10, 0), (99_999, 0)) == ["fire", "", ""]


def test_few_events_are_no_evidence_of_a_share_but_do_let_a_count_go_quiet():
    share = Terms(Condition("errorRate", ">", 5), minimum=20, resolve_after_s=60, ratio=True)
    few = judge(share, Memory(), Reading(50, 4), NOW, firing=False)
    assert few.act == "" and few.memory.value is None
    assert judge(share, Memory(quiet_since=at(-90)), Reading(0, 4), NOW, firing=True).act == ""
    assert judge(share, Memory(), Reading(50, 20), NOW, firing=False).act == "fire"
    count = Terms(Condition("errorCount", ">", 5), minimum=20, resolve_after_s=60)
    assert judge(count, Memory(), Reading(19, 19), NOW, firing=False).act == ""
    assert judge(count, Memory(quiet_since=at(-90)), Reading(19, 19), NOW, firing=True).act == "resolve"


def test_what_a_person_settled_is_no_news_until_it_gets_worse_lapses_or_its_window_has_passed():
    terms, settled = Terms(Condition("errorCount", ">", 2)), Settled(at(300), 7)
    held = Memory(value=7, seen_at=at(-10), holds_since=at(-60))
    assert judge(terms, held, Reading(7, 7), NOW, firing=False, settled=settled).act == ""
    assert judge(terms, held, Reading(8, 8), NOW, firing=False, settled=settled).act == "fire"
    assert judge(terms, held, Reading(7, 7), at(300), firing=False, settled=settled).act == "fire"
    assert judge(terms, Memory(), Reading(3, 3), NOW, firing=False, settled=settled).act == "fire"


@given(st.text(max_size=140) | st.from_regex(r"[a-zA-Z]{1,12} ?[<>=]{1,2} ?-?[0-9.e]{1,14} ?(%|ms|s|min)?"))
def test_whatever_is_typed_is_a_condition_or_refused(text):
    try:
        found = parse(text, threshold=None, bounds=BOUNDS)
    except RuleRefused as refusal:
        assert str(refusal)
    else:
        assert found.measure in BOUNDS and math.isfinite(found.number)
        assert parse(str(found), threshold=None, bounds=BOUNDS).measure == found.measure
