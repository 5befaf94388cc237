"""Gates: hours over midnight, weekdays, holidays and severity, each in the gate's own zone."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.escalation import (
    MethodFacts,
    PersonFacts,
    PolicyFacts,
    StepFacts,
    first_stop,
    plan,
    plan_of,
    preview,
)
from apps.alerts.gates import Gate, can_open, why_shut

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
PEOPLE = {n: PersonFacts(n, name, True, (MethodFacts(n, "email", f"{name}@x.org"),))
          for n, name in ((1, "Alice"), (2, "Bob"), (3, "Carol"))}  # fmt: skip


def at(day, hour, minute=0):
    return MONDAY + timedelta(days=day, hours=hour - 9, minutes=minute)


def to(user_id, wait_s=0, **facts):
    return StepFacts(wait_s, "people", (user_id,), **facts)


def behind(**facts):
    return StepFacts(0, "gate", gate=Gate(**facts))


def made(*steps, now=MONDAY, severity="critical", repeat_count=0):
    return plan(PolicyFacts("P", steps, repeat_count, 600, 3), PEOPLE, now, severity)


def paged(a_plan, cycle=0):
    return [target.label for step in a_plan.steps for target in step.in_round(cycle)]


OFFICE = Gate(weekdays=(0, 1, 2, 3, 4), starts=time(9), ends=time(17))
NIGHT = Gate(weekdays=(4,), starts=time(22), ends=time(6))


@pytest.mark.parametrize(
    ("gate", "moment", "is_open"),
    [
        (OFFICE, at(0, 9), True),
        (OFFICE, at(0, 8, 59), False),
        (OFFICE, at(0, 17), False),
        (OFFICE, at(5, 12), False),
        (NIGHT, at(4, 22), True),
        (NIGHT, at(5, 5, 59), True),  # Saturday morning belongs to Friday's night
        (NIGHT, at(4, 5), False),  # Friday morning to Thursday's
        (NIGHT, at(5, 6), False),
        (Gate(country="DE"), datetime(2026, 12, 25, 12, tzinfo=UTC), False),
        (Gate(country="DE"), datetime(2026, 12, 28, 12, tzinfo=UTC), True),
        (Gate(country="DE", zone="Pacific/Auckland"), datetime(2026, 12, 24, 12, tzinfo=UTC), False),
    ],
)
def test_a_gate_is_open_exactly_in_its_hours_days_and_outside_its_holidays(gate, moment, is_open):
    assert (why_shut(gate, moment, "critical") == "") is is_open


def test_severity_opens_a_gate_from_there_upward():
    opened = [
        not why_shut(Gate(severity="error"), MONDAY, one) for one in ("critical", "error", "warning", "info")
    ]
    assert opened == [True, True, False, False]


def test_a_shut_gate_leaves_out_what_follows_and_says_why_and_an_open_one_leaves_out_nothing():
    steps = (to(1), behind(weekdays=(5, 6)), to(2, 300))
    assert paged(made(*steps)) == ["Alice"]
    assert paged(made(*steps, now=at(5, 12))) == ["Alice", "Bob"]
    said = [line.label for line in preview(made(*steps))]
    assert any("is left out by a gate: Mon 23 Nov 09:05 is not on Sat, Sun (UTC)." in line for line in said)


def test_a_gate_may_guard_the_next_step_only():
    assert paged(made(behind(weekdays=(6,), skips=1), to(1), to(2))) == ["Bob"]


def test_each_step_and_each_round_is_judged_at_its_own_time():
    late = made(behind(starts=time(9), ends=time(9, 10)), to(1), to(2, 900), repeat_count=1)
    assert (paged(late), paged(late, 1)) == (["Alice"], [])


def test_a_round_robin_takes_turns_passes_over_who_cannot_be_reached_and_goes_on_in_further_rounds():
    def robin(turn):
        return StepFacts(0, "round_robin", (1, 4, 2, 3), turn=turn)

    assert [paged(made(robin(turn))) for turn in range(4)] == [["Alice"], ["Bob"], ["Bob"], ["Carol"]]
    again = made(robin(2), repeat_count=1)
    assert (paged(again), paged(again, 1)) == (["Bob"], ["Carol"])


def test_an_empty_step_that_is_not_skipped_makes_its_wait():
    nobody = StepFacts(600, "people", skip_if_empty=False)
    stop = first_stop(made(nobody, to(1)))
    assert (stop.step, stop.wait_s) == (0, 600)
    assert first_stop(made(StepFacts(600, "people"), to(1))).step == 1


def test_a_window_without_length_can_never_open():
    assert not can_open(Gate(starts=time(9), ends=time(9)))
    assert can_open(Gate(starts=time(9), ends=time(8)))


times = st.times().map(lambda t: t.replace(microsecond=0))
gates = st.builds(
    Gate, zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
    weekdays=st.sets(st.integers(0, 6)).map(tuple), starts=times, ends=times, skips=st.integers(0, 2),
)  # fmt: skip
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(gates, moments)
def test_open_is_what_counting_the_minutes_since_the_window_began_says(gate, moment):
    local = moment.astimezone(ZoneInfo(gate.zone)).replace(tzinfo=None)
    days = (local.date(), local.date() - timedelta(days=1))
    begun = []
    for day in days:
        starts, ends = datetime.combine(day, gate.starts), datetime.combine(day, gate.ends)
        ends += timedelta(days=1) if gate.ends <= gate.starts else timedelta()
        if starts <= local < ends and (not gate.weekdays or day.weekday() in gate.weekdays):
            begun.append(day)
    if gate.starts != gate.ends:
        assert (why_shut(gate, moment, "info") == "") is bool(begun)


@given(st.lists(st.one_of(st.builds(lambda g: StepFacts(0, "gate", gate=g), gates),
                          st.builds(to, st.integers(1, 4), st.integers(0, 4000), urgency=st.sampled_from(["", "low"]),
                                    skip_if_empty=st.booleans())), max_size=5), st.integers(0, 2), moments)  # fmt: skip
def test_what_is_stored_is_read_back_and_gates_page_nobody_themselves(steps, repeat_count, now):
    a_plan = made(*steps, now=now, repeat_count=repeat_count)
    assert plan_of(a_plan.to_json()) == a_plan
    assert not any(a_plan.steps[n].targets for n, step in enumerate(steps) if step.kind == "gate")
