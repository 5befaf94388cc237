"""The walk of escalations: steps in order, never early, one a tick; thousands in few statements."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.alerts import builtin, paging, sending, watch
from apps.alerts.models import Alert, ContactMethod, Escalation, Page
from apps.audit.models import AuditEvent
from apps.projects.models import Team
from tests.alerts.make import NOW, at, make_alert, make_channel, make_component, make_policy, make_user

pytestmark = pytest.mark.django_db


def test_no_step_comes_early_and_a_jump_of_the_clock_runs_one_step_not_a_burst():
    make_alert(make_policy(*[(60, make_user())] * 5))
    paging.escalate_due(now=at(59))
    assert Page.objects.count() == 0
    paging.escalate_due(now=at(86_400))
    assert Page.objects.count() == 1
    assert Escalation.objects.get().next_at == at(86_460)
    paging.escalate_due(now=at(0))  # backwards it only delays
    assert Page.objects.count() == 1


def test_steps_without_a_wait_still_come_one_a_tick():
    make_alert(make_policy((0, make_user()), (0, make_user("bob"))))
    paging.escalate_due(now=NOW)
    assert Page.objects.count() == 1
    paging.escalate_due(now=at(5))
    assert Page.objects.count() == 2


def test_a_tick_that_runs_twice_makes_no_second_page():
    make_alert(make_policy((0, make_user()), (60, make_user())))
    paging.escalate_due(now=NOW)
    paging.escalate_due(now=NOW)
    Escalation.objects.update(step=0, next_at=NOW)  # as if the step had been forgotten
    paging.escalate_due(now=NOW)
    assert Page.objects.count() == 1


def test_a_team_is_its_active_members_when_the_escalation_begins():
    team = Team.objects.create(name="Ops", slug="ops")
    team.members.add(make_user(), make_user("bob", is_active=False))
    policy = make_policy((0, team))
    make_alert(policy)
    team.members.add(make_user("carol"))
    paging.escalate_due(now=NOW)
    assert list(Page.objects.values_list("target_label", flat=True)) == ["Alice"]


def test_a_persons_own_order_of_ways_holds_and_disabled_ones_are_left_out():
    alice = make_user()
    for order, address, enabled in ((2, "b@x.org", True), (1, "a@x.org", True), (0, "off@x.org", False)):
        ContactMethod.objects.create(
            user=alice, address=address, order=order, enabled=enabled, verified_at=NOW
        )
    make_alert(make_policy((0, alice)))
    paging.escalate_due(now=NOW)
    assert Page.objects.get().address == "a@x.org"


def test_a_switched_off_channel_is_an_empty_step_and_does_not_make_the_next_wait():
    make_alert(make_policy((900, make_channel(enabled=False)), (60, make_user())))
    paging.escalate_due(now=at(60))
    assert Page.objects.get().target_label == "Alice"


def test_hundreds_due_at_once_cost_a_fixed_number_of_statements():
    policy = make_policy((0, make_user()))
    one = make_alert(policy, opens_incident=False)

    def copies(n):
        made = [Alert(**{**values(one), "dedup_key": f"copy {one.pk} {i} {n}"}) for i in range(n)]
        plan = Escalation.objects.first().plan
        runs = [
            Escalation(alert=a, epoch=1, policy_name="P", plan=plan, next_at=NOW, started_at=NOW)
            for a in Alert.objects.bulk_create(made)
        ]
        Escalation.objects.bulk_create(runs)
        with CaptureQueriesContext(connection) as taken:
            paging.escalate_due(now=NOW)
        return len(taken)

    copies(1)
    assert copies(300) == copies(5)
    assert Page.objects.count() == 307


BROKEN = (
    {}, [], 5, {"steps": 5}, {"steps": [], "fallback": [], "problems": [], "repeat_count": "1", "repeat_wait_s": 1},
    {"steps": [{"wait_s": 0}]}, {"steps": None, "fallback": []},
    {"steps": [{"wait_s": 0, "targets": [{"kind": "email", "address": "a@x.org", "label": "A", "user_id": "one"}],
                "problems": []}], "fallback": [], "problems": []},
)  # fmt: skip


@pytest.mark.parametrize("plan", BROKEN)
def test_a_plan_that_cannot_be_read_is_set_aside_red_and_its_fallback_paged_while_the_others_go_on(plan):
    policy = make_policy((0, make_user()))
    broken, sound = make_alert(policy), make_alert(policy)
    Escalation.objects.filter(alert=broken).update(plan=plan)
    report = paging.escalate_due(now=NOW)
    assert report.rejected == 1 and report.backlog == 0
    assert Page.objects.get(alert=sound).target_label == "Alice"
    assert Page.objects.get(alert=broken).target_label == "Carol"
    assert Escalation.objects.get(alert=broken).state == "exhausted_unreached"
    assert AuditEvent.objects.get(action="escalation.broken").outcome == "error"
    assert broken.incident.timeline.filter(tone="bad", text__startswith="The plan cannot be read").exists()


def test_a_person_deleted_since_the_plan_was_frozen_does_not_stop_the_batch():
    bob = make_user("bob")
    make_alert(make_policy((0, bob)))
    make_alert(make_policy((0, make_user())))
    bob.delete()
    paging.escalate_due(now=NOW)
    assert set(Page.objects.values_list("target_label", "user__username")) == {
        ("Bob", None),
        ("Alice", "alice"),
    }


def values(alert):
    kept = {f.attname: getattr(alert, f.attname) for f in alert._meta.concrete_fields}
    del kept["id"]
    return kept


def test_the_report_says_what_is_left_and_since_when():
    for name in ("alice", "bob", "carol"):
        make_alert(make_policy((0, make_user(name))))
    report = paging.escalate_due(now=at(30), limit=2)
    assert (report.backlog, report.oldest_at) == (1, NOW)
    assert paging.escalate_due(now=at(30)).backlog == 0
    report = sending.deliver_due(now=at(31), limit=1)
    assert report.backlog == 2 and report.said == "1 sent"


def test_the_whole_way_from_the_ticks_themselves(settings, tmp_path):
    """As `manage.py tick` runs it, without Celery: errors in rollups to a mail in a file."""
    from apps.core import ticks
    from reliability_portal import celery  # noqa: F401 - fills the table of ticks
    from tests.alerts.make import make_errors

    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "apps.core.mail.KeptMailBackend", tmp_path
    make_user(is_superuser=True)
    make_errors(1, make_component("Payments"), severity="Critical", minute=ticks.database_now())
    for name in ("alerts.watch", "alerts.escalate", "alerts.deliver"):
        ran = ticks.run(name)
        assert ran.ok, ran.error
    (kept,) = tmp_path.glob("*.eml")
    assert b"Payment failures: Payments" in kept.read_bytes()
    assert builtin.default_policy() and watch.recount_incidents() == 0


def test_a_way_that_was_never_verified_is_left_out_and_said_red():
    alice = make_user()
    for order, address in enumerate(("typo@example.org", "alice@home.example"), 1):
        ContactMethod.objects.create(user=alice, kind="email", address=address, order=order)
    policy = make_policy((0, alice))
    made = paging.plan_for(policy, NOW)
    assert [target.address for target in made.steps[0].targets] == ["alice@example.org"]  # the account's own
    assert "typo@example.org, email alice@home.example was never verified" in made.steps[0].problems[0]
    ContactMethod.objects.filter(order=2).update(verified_at=NOW)
    made = paging.plan_for(policy, NOW)
    assert [target.address for target in made.steps[0].targets] == ["alice@home.example"]
    type(alice).objects.update(email="")
    ContactMethod.objects.update(verified_at=None)
    made = paging.plan_for(policy, NOW)
    assert made.steps[0].targets == () and made.steps[0].problems[0].startswith("Alice has no address: ")
