"""Steps that page whoever a schedule has: computed for each step's own time, then frozen."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts import escalation, paging, queries
from apps.alerts.escalation import MethodFacts, PersonFacts, PolicyFacts, StepFacts, plan, plan_of, preview
from apps.alerts.models import Escalation, EscalationStep, Page
from apps.alerts.oncall import rotations
from apps.alerts.oncall.rotations import Layer, Schedule
from apps.alerts.policy_forms import StepForm
from tests.alerts.make import NOW, at, make_alert, make_policy, make_user
from tests.alerts.make_oncall import make_override, make_schedule
from tests.alerts.test_escalation import walked

UTC_ZONE = ZoneInfo("UTC")
PEOPLE = {n: PersonFacts(n, f"P{n}", True, (MethodFacts(None, "email", f"p{n}@x.org"),)) for n in range(1, 5)}


def make_duty(turns, period, **facts):
    starts = datetime(2026, 11, 1)
    return Schedule(1, (Layer(1, "L", UTC_ZONE, tuple((n,) for n in turns), starts, period, **facts),))


def by_schedule(wait_s, duty, kind="schedule"):
    return StepFacts(wait_s, kind, schedule=duty, schedule_name="Payments")


def made(*steps, repeat_count=0, repeat_wait_s=600):
    return plan(PolicyFacts("P", steps, repeat_count, repeat_wait_s, 4), PEOPLE, NOW)


duties = st.builds(
    make_duty, st.lists(st.integers(1, 4), max_size=3), st.integers(1, 5).map(lambda n: timedelta(hours=n))
)
steps = st.builds(
    by_schedule, st.sampled_from([0, 60, 1800, 7200]), duties, st.sampled_from(["schedule", "schedule_next"])
) | st.builds(
    lambda w, ids: StepFacts(w, "people", ids), st.sampled_from([0, 900]), st.sampled_from([(), (4,)])
)


@given(st.lists(steps, max_size=4), st.integers(0, 4), st.sampled_from([60, 3600, 20_000]))
@settings(max_examples=100, deadline=None)
def test_every_step_of_the_walk_pages_whoever_is_on_call_at_its_own_time(
    given_steps, repeat_count, repeat_wait_s
):
    a_plan = made(*given_steps, repeat_count=repeat_count, repeat_wait_s=repeat_wait_s)
    assert plan_of(a_plan.to_json()) == a_plan
    for at_s, cycle, index in walked(a_plan):
        step, due = given_steps[index], at(at_s)
        if step.schedule:
            asked = rotations.on_call if step.kind == "schedule" else rotations.next_on_call
            wanted = asked(step.schedule, due)
        else:
            wanted = step.user_ids
        assert tuple(t.user_id for t in a_plan.steps[index].in_round(cycle)) == wanted != ()


def test_a_handover_between_rounds_pages_the_next_person_in_the_next_round():
    hourly = make_duty((1, 2), timedelta(hours=1))
    a_plan = made(by_schedule(0, hourly), repeat_count=2, repeat_wait_s=3600)
    assert [line.label for line in preview(a_plan, rounds=3) if not line.problem][:3] == ["P1", "P2", "P1"]
    steady = made(by_schedule(0, make_duty((1,), timedelta(hours=1))), repeat_count=2)
    assert steady.steps[0].later == ()  # what is the same is stored once


def test_a_gap_is_said_in_red_and_costs_no_time():
    office = make_duty((1,), timedelta(days=1), ends=datetime(2026, 11, 20))
    a_plan = made(by_schedule(900, office), StepFacts(60, "people", (2,)))
    assert walked(a_plan) == [(60, 0, 1)]
    assert a_plan.steps[0].problems == (
        "Payments has nobody on call at Sun 22 Nov 12:15 UTC, when this step is due.",
    )


def test_next_on_a_schedule_of_one_person_is_nobody():
    a_plan = made(by_schedule(0, make_duty((1,), timedelta(hours=1)), "schedule_next"))
    assert a_plan.reaches_nobody and "has nobody next" in a_plan.steps[0].problems[0]
    assert made(StepFacts(0, "schedule")).steps[0].problems == ("No schedule is chosen.",)


def test_a_plan_stored_before_rounds_differed_is_still_read():
    stored = made(StepFacts(0, "people", (1,))).to_json()
    for step in stored["steps"]:
        del step["later"]
    assert plan_of(stored).steps[0].in_round(3)[0].label == "P1"


# --- In the engine ----------------------------------------------------------------------------------------
def make_duty_policy(*kinds, schedule=None, **facts):
    schedule = schedule or make_schedule({"turns": ("alice", "bob"), "unit": "hours", "handover_at": "13:00"})
    policy = make_policy(**facts)
    for order, kind in enumerate(kinds, 1):
        EscalationStep.objects.create(policy=policy, order=order, kind=kind, schedule=schedule)
    return policy, schedule


@pytest.mark.django_db
def test_the_engine_pages_who_was_planned_whatever_is_edited_meanwhile():
    policy, schedule = make_duty_policy("schedule", "schedule_next", repeat_count=1, repeat_wait_s=3600)
    make_alert(policy=policy)
    first = rotations.on_call(_facts(schedule), NOW)
    make_override(schedule, "mallory", ends_at=at(86_400))
    schedule.layers.all().delete()
    for seconds in (0, 1, 3601, 3602):
        paging.escalate_due(now=at(seconds))
    paged = list(Page.objects.order_by("cycle", "step").values_list("cycle", "step", "user__username"))
    one, other = ("alice", "bob") if first == (make_user("alice").pk,) else ("bob", "alice")
    assert paged == [(0, 0, one), (0, 1, other), (1, 0, other), (1, 1, one)]


def _facts(schedule):
    from apps.alerts.oncall import facts as oncall_facts

    return oncall_facts.facts_of([schedule], NOW)[schedule.pk]


@pytest.mark.django_db
def test_who_is_paged_next_is_told_of_the_round_that_comes():
    policy, _ = make_duty_policy("schedule", repeat_count=1, repeat_wait_s=3600)
    alert = make_alert(policy=policy)
    before = queries.next_page(alert.incident).to
    paging.escalate_due(now=at(0))
    after = queries.next_page(alert.incident).to
    assert {before, after} == {"Alice", "Bob"}


@pytest.mark.django_db
def test_a_schedule_with_nobody_leads_to_the_fallback_and_is_red():
    policy, _ = make_duty_policy("schedule", schedule=make_schedule())
    make_alert(policy=policy)
    paging.escalate_due(now=at(1))
    run = Escalation.objects.get()
    assert run.state == "exhausted_unreached" and Page.objects.get().user.username == "carol"


@pytest.mark.django_db
def test_ten_policies_by_schedule_cost_as_many_queries_as_one():
    policies = [make_duty_policy("schedule", schedule=make_schedule({}, name=f"S{n}"))[0] for n in range(10)]
    with CaptureQueriesContext(connection) as few:
        paging.plans_for(policies[:1], NOW)
    with CaptureQueriesContext(connection) as many:
        assert not any(made.reaches_nobody for made in paging.plans_for(policies, NOW).values())
    assert len(many) == len(few)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["schedule", "schedule_next"])
def test_a_step_by_schedule_names_one(kind):
    form = StepForm({"order": 1, "wait_before_s": 0, "kind": kind})
    assert not form.is_valid() and "would page nobody" in form.errors["schedule"][0]
    schedule = make_schedule({})
    assert StepForm({"order": 1, "wait_before_s": 0, "kind": kind, "schedule": schedule.pk}).is_valid()


@pytest.mark.django_db
def test_a_policys_page_shows_who_would_be_paged_by_schedule(client):
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    policy, _ = make_duty_policy("schedule", schedule=make_schedule({"turns": ("alice",)}))
    page = client.get(reverse("admin:alerts_escalationpolicy_change", args=[policy.pk]))
    (_, shown), *_ = page.context["previews"]
    assert "Alice" in str(shown.rows[0])
    assert escalation.first_stop(paging.plan_for(policy, NOW)).step == 0
