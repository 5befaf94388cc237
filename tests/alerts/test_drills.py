"""Drills: paged end to end and labelled, kept, and counted nowhere."""

import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as wall
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from apps.alerts import paging, queries, sending
from apps.alerts import services as alert_services
from apps.alerts.drills import services
from apps.alerts.drills.weekly import next_time
from apps.alerts.models import Alert, Drill, DrillPlan, Page
from apps.alerts.services import Act
from apps.audit.models import AuditEvent
from apps.incidents.models import Incident
from tests.alerts.make import NOW, at, make_policy, make_project, make_user
from tests.alerts.receivers import Sink, smtp
from tests.people import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings):
    with smtp(settings, Sink()) as it:
        yield it


def start(now=NOW, **whom):
    make_project()
    return services.start_drill(now=now, by="Alice", **(whom or {"policy": make_policy((0, make_user()))}))


def run(seconds):
    paging.escalate_due(now=at(seconds))
    sending.deliver_due(now=at(seconds))


def test_a_drill_of_a_policy_is_paged_through_the_engine_and_labelled_everywhere(sink):
    drill = start()
    run(1)
    (mail,) = sink.envelopes
    text = mail.content.decode()
    assert mail.rcpt_tos == ["alice@example.org"]
    assert "Subject: [Drill] Policy" in text and "This is a drill: nothing is wrong." in text
    page = Page.objects.get()
    assert page.data["drill"] is True and page.alert == drill.alert


def test_an_acknowledged_drill_keeps_who_and_when_and_its_alert_is_over(sink):
    drill = start()
    run(1)
    assert not services.end_drill(drill=drill, now=at(20))
    alert_services.acknowledge(alert=drill.alert, act=Act("Alice", at(42), via="link"))
    assert services.end_drill(drill=drill, now=at(60)) and not services.end_drill(drill=drill, now=at(61))
    drill.refresh_from_db()
    assert (drill.state, drill.acked_by, drill.acked_at) == ("acknowledged", "Alice", at(42))
    assert (drill.sent, drill.failed, Alert.objects.get().state) == (1, 0, "resolved")
    assert [e.action for e in AuditEvent.objects.filter(action__startswith="drill.").order_by("id")] == [
        "drill.start",
        "drill.end",
    ]


def test_nobody_acknowledging_and_no_page_going_out_are_two_endings(settings):
    with smtp(settings, Sink()):
        drill = start()
        run(1)
    services.end_drill(drill=drill, now=at(899))
    drill.refresh_from_db()
    assert drill.state == "running"
    services.keep_drills(now=at(900))
    drill.refresh_from_db()
    assert (drill.state, drill.sent) == ("unanswered", 1)
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    other = start(user=make_user("bob"))
    run(1000)
    services.keep_drills(now=at(2000))
    other.refresh_from_db()
    assert (other.state, other.sent) == ("unsent", 0)


def test_a_drill_opens_no_incident_and_counts_in_no_statistic(sink):
    before = queries.stats(now=at(100))
    drill = start()
    run(1)
    alert_services.acknowledge(alert=drill.alert, act=Act("Alice", at(5)))
    services.end_drill(drill=drill, now=at(6))
    assert queries.stats(now=at(100)) == before
    assert not Incident.objects.exists()


def test_a_person_is_drilled_by_their_own_ways_without_a_policy(sink):
    start(user=make_user("bob"))
    run(1)
    assert [mail.rcpt_tos for mail in sink.envelopes] == [["bob@example.org"]]


def test_what_cannot_be_drilled_is_refused_in_words():
    policy = make_policy((0, make_user()))
    with pytest.raises(ValidationError, match="needs a project"):
        services.start_drill(now=NOW, by="Alice", policy=policy)
    with pytest.raises(ValidationError, match="not both"):
        start(policy=policy, user=make_user())
    start(policy=policy)
    with pytest.raises(ValidationError, match="running already"):
        start(policy=policy)
    assert Drill.objects.count() == 1


# --- The week -------------------------------------------------------------------------------------------
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC)),  # a Sunday
        (datetime(2026, 11, 24, 8, 59, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC)),
        (datetime(2026, 11, 24, 9, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC)),
        (datetime(2026, 3, 25, tzinfo=UTC), datetime(2026, 3, 31, 8, tzinfo=UTC)),  # summer has come
    ],
)
def test_the_next_drill_is_at_its_local_time(after, expected):
    assert next_time(2, wall(10), BERLIN, after) == expected


def make_plan(**facts):
    make_project()
    facts = {"policy": make_policy((0, make_user())), "weekday": 7, "at": wall(13), "zone": "UTC", **facts}
    return DrillPlan.objects.create(**facts)


def test_the_week_starts_a_drill_once_at_its_time(sink):
    plan = make_plan()
    due = NOW.replace(hour=13, minute=0, second=0)
    services.keep_drills(now=NOW)
    plan.refresh_from_db()
    assert plan.next_at == due and not Drill.objects.exists()
    for seconds in (-1, 0, 30, 60):
        services.keep_drills(now=due + timedelta(seconds=seconds))
    drill = Drill.objects.get()
    plan.refresh_from_db()
    assert (drill.plan, drill.started_by, plan.next_at) == (plan, "the week", due + timedelta(days=7))


def test_a_drill_whose_time_was_missed_by_an_hour_is_left_out():
    plan = make_plan()
    services.keep_drills(now=NOW)
    services.keep_drills(now=NOW.replace(hour=14, minute=1))
    plan.refresh_from_db()
    assert not Drill.objects.exists() and plan.next_at > NOW + timedelta(days=6)


def test_a_plan_that_is_off_starts_nothing():
    make_plan(enabled=False)
    services.keep_drills(now=NOW)
    services.keep_drills(now=NOW.replace(hour=13, minute=1))
    assert not Drill.objects.exists()


# --- Doors ----------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_command_prints_each_receipt_and_who_acknowledged(sink, capsys):
    make_project()
    make_policy((0, make_user()), name="Payments")

    def answer():
        """As Alice does, once the mail is there."""
        for _ in range(600):
            if sink.envelopes:
                break
            time.sleep(0.05)
        alert_services.acknowledge(alert=Alert.objects.get(), act=Act("Alice", datetime.now(UTC)))
        connection.close()

    alice = threading.Thread(target=answer)
    alice.start()
    call_command("drill", "--policy", "Payments", "--wait", "60", "--here")
    alice.join()
    said = capsys.readouterr().out
    assert "Alice by email: sent" in said and "Acknowledged by Alice after" in said


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_where_nothing_went_out():
    make_project()
    make_user("bob")
    with pytest.raises(CommandError, match="No page went out"):
        call_command("drill", "--person", "bob", "--wait", "1")
    with pytest.raises(CommandError, match="No policy 'Nothing'"):
        call_command("drill", "--policy", "Nothing")


def test_the_admin_plans_a_drill_starts_it_and_shows_how_it_ended(sink, client):
    client.force_login(make_person("carol", "Admin"))
    policy = make_policy((0, make_user()), name="Payments", fallback=make_user())
    make_project()
    add = reverse("admin:alerts_drillplan_add")
    fields = {
        "policy": policy.pk,
        "user": "",
        "weekday": 2,
        "at": "10:00",
        "zone": "Nowhere/Land",
        "enabled": "on",
    }
    assert "Unknown time zone" in client.post(add, fields).content.decode()
    both = {**fields, "zone": "Europe/Berlin", "user": make_user("bob").pk}
    assert "not both" in client.post(add, both).content.decode()
    assert not DrillPlan.objects.exists()
    assert client.post(add, {**fields, "zone": "Europe/Berlin"}).status_code == 302
    plan = DrillPlan.objects.get()
    client.post(reverse("admin:alerts_drillplan_press", args=[plan.pk, "start"]))
    drill = Drill.objects.get()
    assert drill.plan == plan
    alert_services.acknowledge(alert=drill.alert, act=Act("Alice", datetime.now(UTC)))
    services.end_drill(drill=drill, now=datetime.now(UTC))
    shown = client.get(reverse("admin:alerts_drill_changelist")).content.decode()
    assert "Payments" in shown and "Acknowledged" in shown and "Alice" in shown
    assert client.get(reverse("admin:alerts_drill_change", args=[drill.pk])).status_code == 200
    assert client.get(reverse("admin:alerts_watchdog_changelist")).status_code == 200


def test_a_responder_sees_drills_and_starts_none(client):
    plan = make_plan(policy=make_policy((0, make_user()), fallback=make_user()))
    client.force_login(make_person("bob", "Responder"))
    assert client.get(reverse("admin:alerts_drill_changelist")).status_code == 200
    assert client.post(reverse("admin:alerts_drillplan_press", args=[plan.pk, "start"])).status_code == 403
    assert not Drill.objects.exists()
