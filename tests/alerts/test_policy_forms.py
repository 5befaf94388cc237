"""The policy's form: what it refuses by field, and what it only says beside the preview."""

import pytest
from django.test import Client

from apps.alerts import paging, planning
from apps.alerts.models import Escalation, EscalationPolicy, EscalationStep, Page
from apps.alerts.policy_forms import PolicyForm, StepForm
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy, make_user

pytestmark = pytest.mark.django_db


def policy_form(**facts):
    return PolicyForm({"name": "Nights", "repeat_count": 1, "repeat_wait_s": 300, **facts})


def step_form(**facts):
    return StepForm({"order": 1, "wait_before_s": 0, **facts})


def gate(policy, order, **facts):
    return EscalationStep.objects.create(policy=policy, order=order, kind="gate", **facts)


def test_a_policy_without_a_fallback_who_can_be_reached_is_refused():
    assert policy_form(fallback_user=make_user().pk).is_valid()
    assert "fallback_user" in policy_form().errors
    for person in (make_user("bob", is_active=False), make_user("carol", email="")):
        assert "must be reachable" in policy_form(fallback_user=person.pk).errors["fallback_user"][0]


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"gate_from": "09:00", "gate_until": "09:00"}, "gate_until"),
        ({"gate_from": "09:00"}, "gate_until"),
        ({"gate_until": "09:00"}, "gate_from"),
        ({}, "kind"),
        ({"gate_weekdays": ["0"], "wait_before_s": 60}, "wait_before_s"),
        ({"gate_weekdays": ["7"]}, "gate_weekdays"),
        ({"gate_weekdays": ["0"], "gate_zone": "Mars/Olympus"}, "gate_zone"),
        ({"gate_holidays": "ZZ"}, "gate_holidays"),
    ],
)
def test_a_gate_that_cannot_work_is_refused_by_its_field(facts, field):
    assert list(step_form(kind="gate", **facts).errors) == [field]


def test_a_gate_is_kept_as_it_was_said():
    form = step_form(kind="gate", gate_weekdays=["4", "0"], gate_holidays="de", gate_zone="")
    assert form.is_valid(), form.errors
    assert (form.cleaned_data["gate_weekdays"], form.cleaned_data["gate_holidays"]) == ([0, 4], "DE")
    assert form.cleaned_data["gate_zone"] == "UTC"


def test_a_web_hook_step_wants_a_signed_web_hook_and_a_round_robin_people():
    slack = make_channel("slack")
    assert "no signed web hook" in step_form(kind="webhook", channel=slack.pk).errors["channel"][0]
    assert step_form(kind="webhook", channel=make_channel("webhook").pk).is_valid()
    assert list(step_form(kind="round_robin").errors) == ["users"]


def test_what_is_odd_is_said_beside_the_preview(client: Client):
    alice = make_user(is_superuser=True, is_staff=True)
    policy = make_policy((0, alice), (0, alice))
    gate(policy, 3, gate_weekdays=[0])
    gate(policy, 4, gate_weekdays=[1])
    EscalationStep.objects.create(policy=policy, order=5, kind="people").users.add(make_user("bob"))
    said = planning.doubts_of(policy, NOW)
    assert said == [
        "Step 5 can never run: the gates before it are never open together.",
        "Step 2 pages, without a wait, nobody but whom step 1 pages.",
    ]
    client.force_login(alice)
    shown = client.get(f"/admin/alerts/escalationpolicy/{policy.pk}/change/").content.decode()
    assert said[0] in shown and "left out by a gate" in shown


def test_a_sound_policy_is_not_doubted():
    policy = make_policy((0, make_user()), (300, make_user("bob")))
    gate(policy, 3, gate_weekdays=[5, 6])
    EscalationStep.objects.create(policy=policy, order=4, kind="channel", channel=make_channel())
    assert planning.doubts_of(policy, NOW) == []


def test_a_round_robin_goes_round_by_starts_and_a_preview_takes_no_turn():
    policy = make_policy()
    step = EscalationStep.objects.create(policy=policy, order=1, kind="round_robin")
    step.users.add(make_user(), make_user("bob"))
    first = [target.label for target in paging.plan_for(policy, NOW).steps[0].targets]
    for _ in range(4):
        make_alert(EscalationPolicy.objects.get())
    whom = [run.plan["steps"][0]["targets"][0]["label"] for run in Escalation.objects.order_by("pk")]
    assert sorted(whom) == ["Alice", "Alice", "Bob", "Bob"] and whom[0] != whom[1] and whom[:2] == whom[2:]
    assert first[0] in whom


def test_a_steps_urgency_goes_before_the_severity_of_the_alert():
    policy = make_policy((0, make_user()))
    policy.steps.update(urgency="low")
    make_alert(policy)
    paging.escalate_due(now=NOW)
    assert Page.objects.get().urgency == "warning"


@pytest.mark.parametrize("further", [0, 1, 3])
def test_repeat_count_is_the_number_of_further_rounds(further):
    make_alert(make_policy((0, make_user()), repeat_count=further, repeat_wait_s=60))
    for minute in range(8):
        paging.escalate_due(now=at(60 * minute))
    assert Page.objects.filter(target_label="Alice").count() == further + 1
