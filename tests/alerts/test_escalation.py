"""The plan: one pure function, walked by the engine and by the preview alike."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.escalation import (
    CLOSE_AFTER_S,
    ChannelFacts,
    MethodFacts,
    PersonFacts,
    PolicyFacts,
    StepFacts,
    first_stop,
    next_stop,
    plan,
    plan_of,
    preview,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALICE = PersonFacts(
    1, "Alice", True, (MethodFacts(7, "email", "alice@x.org"), MethodFacts(8, "email", "a2@x.org"))
)
BOB = PersonFacts(2, "Bob", False, (MethodFacts(None, "email", "bob@x.org"),))
CAROL = PersonFacts(3, "Carol", True, ())
PEOPLE = {1: ALICE, 2: BOB, 3: CAROL}
SLACK = ChannelFacts(5, "ops", "slack", "channel:5", True)


def people(wait_s, *ids, team=""):
    return StepFacts(wait_s, "team" if team else "people", ids, team)


def channel(wait_s, facts):
    return StepFacts(wait_s, "channel", channel=facts)


def made(*steps, repeat_count=0, repeat_wait_s=600, fallback=1):
    return plan(PolicyFacts("P", steps, repeat_count, repeat_wait_s, fallback), PEOPLE, NOW)


def walked(a_plan):
    """(seconds, round, step index) of every step run."""
    stop, at_s, found = first_stop(a_plan), 0, []
    while not stop.closing:
        at_s += stop.wait_s
        found.append((at_s, stop.cycle, stop.step))
        stop = next_stop(a_plan, stop.cycle, stop.step)
    return found


@pytest.mark.parametrize(
    ("a_plan", "runs"),
    [
        (made(people(0, 1), people(300, 1)), [(0, 0, 0), (300, 0, 1)]),
        (made(people(60, 1)), [(60, 0, 0)]),
        # Further rounds: 2 means three in all.
        (made(people(0, 1), repeat_count=2), [(0, 0, 0), (600, 1, 0), (1200, 2, 0)]),
        (made(people(30, 1), people(60, 1), repeat_count=1),
         [(30, 0, 0), (90, 0, 1), (720, 1, 0), (780, 1, 1)]),
        # Empty steps are passed without their wait, wherever they stand.
        (made(people(900, 2), people(60, 1)), [(60, 0, 1)]),
        (made(people(0, 1), people(900, 3), people(60, 1)), [(0, 0, 0), (60, 0, 2)]),
        (made(people(0, 1), people(900, 2), repeat_count=1), [(0, 0, 0), (600, 1, 0)]),
        (made(people(900, 2)), []),
        (made(), []),
    ],
)  # fmt: skip
def test_the_walk_of_a_plan(a_plan, runs):
    assert walked(a_plan) == runs


def test_a_plan_that_reaches_nobody_closes_at_once_and_another_leaves_time_for_the_last_page():
    assert first_stop(made(people(900, 2), repeat_count=3)).wait_s == 0
    assert next_stop(made(people(0, 1)), 0, 0).wait_s == CLOSE_AFTER_S


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (people(0, 2), "Bob is no longer active."),
        (people(0, 3), "Carol has no address."),
        (people(0, 9), "A person of this step no longer exists."),
        (people(0), "Nobody is named."),
        (people(0, team="Ops"), "Team Ops has no members."),
        (channel(0, None), "No channel is chosen."),
        (channel(0, ChannelFacts(5, "ops", "slack", "", False)), "ops is switched off."),
    ],
)
def test_whoever_is_not_paged_is_a_red_line(step, said):
    a_plan = made(step)
    assert (a_plan.steps[0].targets, a_plan.steps[0].problems) == ((), (said,))
    assert any(line.problem and said in line.label for line in preview(a_plan))


def test_a_broken_channel_is_still_tried_and_red():
    step = made(channel(0, ChannelFacts(5, "ops", "slack", "channel:5", True, broken=True))).steps[0]
    assert len(step.targets) == len(step.problems) == 1


def test_a_person_is_paged_once_per_step_and_keeps_further_ways_in_order():
    (target,) = made(people(0, 1, 1)).steps[0].targets
    assert (target.address, target.method_id, target.user_id) == ("alice@x.org", 7, 1)
    assert [way.address for way in target.then] == ["a2@x.org"]


def test_the_preview_says_who_when_and_how_and_whom_at_the_end():
    lines = list(preview(made(people(0, 1, 3), channel(300, SLACK), repeat_count=5), rounds=1))
    assert [(x.at_s, x.label, x.kind) for x in lines if not x.problem] == [
        (0, "Alice", "email"),
        (300, "ops", "slack"),
    ]
    assert [x.label for x in lines if x.problem] == ["Step 1: Carol has no address."]
    assert list(preview(made(people(0, 1))))[-1].label == "Alice (if nobody was reached)"


def test_a_fallback_that_cannot_be_reached_is_red():
    assert made(people(0, 1), fallback=2).problems == ("Fallback: Bob is no longer active.",)


STEPS = st.lists(
    st.one_of(
        st.builds(people, st.integers(0, 900), st.sampled_from([1, 2, 3, 9])),
        st.builds(channel, st.integers(0, 900), st.sampled_from([None, SLACK])),
    ),
    max_size=5,
)


@given(STEPS, st.integers(0, 4), st.integers(0, 900))
def test_stored_and_read_again_a_plan_walks_alike_and_every_reaching_step_runs_once_a_round(
    steps, count, wait_s
):
    a_plan = made(*steps, repeat_count=count, repeat_wait_s=wait_s)
    assert plan_of(a_plan.to_json()) == a_plan
    reaching = [i for i, step in enumerate(a_plan.steps) if step.targets]
    runs = walked(a_plan)
    assert [(c, s) for _, c, s in runs] == [(c, s) for c in range(count + 1) for s in reaching]
    assert [t for t, *_ in runs] == sorted(t for t, *_ in runs)


def by_urgency(severity, *steps, ways=(("high", "sms"), ("low", "email"), ("", "slack"))):
    methods = tuple(
        MethodFacts(n, kind, f"{kind}@x.org", urgency) for n, (urgency, kind) in enumerate(ways, 1)
    )
    facts = {1: PersonFacts(1, "Alice", True, methods)}
    return plan(PolicyFacts("P", steps, 0, 600, 1), facts, NOW, severity)


def kinds(target):
    return [target.kind, *(way.kind for way in target.then)]


@pytest.mark.parametrize(
    ("severity", "step", "used"),
    [
        ("critical", people(0, 1), ["sms", "slack"]),
        ("error", people(0, 1), ["sms", "slack"]),
        ("warning", people(0, 1), ["email", "slack"]),
        # The step's own word goes before the alert's severity.
        ("warning", replace(people(0, 1), urgency="high"), ["sms", "slack"]),
        ("critical", replace(people(0, 1), urgency="low"), ["email", "slack"]),
    ],
)
def test_a_way_kept_for_one_urgency_is_used_for_that_one(severity, step, used):
    found = by_urgency(severity, step)
    assert kinds(found.steps[0].targets[0]) == used
    assert kinds(found.fallback[0]) == ["sms", "slack"]  # nobody was reached: that is urgent


def test_who_has_no_way_for_an_urgency_is_paged_by_all_of_them():
    assert kinds(by_urgency("warning", people(0, 1), ways=[("high", "sms")]).steps[0].targets[0]) == ["sms"]
