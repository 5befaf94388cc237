"""Who would be paged then: the engine's own plan, in each person's own time, red where it would not work."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from apps.alerts import escalation, paging
from apps.alerts.confidence import preview as previews
from apps.alerts.models import Alert, ContactMethod, EscalationStep, Page
from apps.alerts.models.oncall import PersonZone
from tests.alerts.make import NOW, make_channel, make_component, make_policy, make_rule, make_user
from tests.alerts.make_oncall import make_override, make_schedule

pytestmark = pytest.mark.django_db


def verified(name, **facts):
    """A person with an address that was proven lately."""
    user = make_user(name)
    given = {"verified_at": NOW - timedelta(days=1), **facts}
    ContactMethod.objects.create(user=user, kind="email", address=f"{name}@example.org", **given)
    return user


def by_schedule(policy, schedule, wait_s=0, order=1, kind="schedule"):
    return EscalationStep.objects.create(
        policy=policy, order=order, wait_before_s=wait_s, kind=kind, schedule=schedule
    )


def test_the_rows_are_the_walk_of_the_plan_that_the_engine_freezes():
    alice, bob = verified("alice"), verified("bob")
    policy = make_policy((0, alice), (300, bob), fallback=verified("carol"), repeat_count=1)
    at = NOW + timedelta(days=3)
    made = previews.preview(policy, at, NOW)
    lines = [line for line in escalation.preview(paging.plan_for(policy, at)) if not line.problem]
    assert [(row.who, row.by) for row in made.rows] == [(line.label, line.kind) for line in lines]
    assert [row.after for row in made.rows[:2]] == ["+0 min", "+5 min"]
    assert made.warnings == ()
    assert not Page.objects.exists() and not Alert.objects.exists()


def test_each_person_reads_their_own_clock_beside_utc():
    alice = verified("alice")
    PersonZone.objects.create(user=alice, zone="America/New_York")
    policy = make_policy((0, alice), fallback=verified("carol"))
    at = datetime(2026, 11, 28, 8, tzinfo=UTC)
    row = previews.preview(policy, at, NOW).rows[0]
    assert (row.utc, row.own, row.at_night) == ("Sat 28 Nov 08:00 UTC", "Sat 28 Nov 03:00 EST", True)


def test_on_saturday_night_it_is_whoever_stands_in_then():
    verified("alice"), verified("bob"), verified("carol")
    schedule = make_schedule({"turns": ("alice",)})
    night = previews.saturday_night(NOW, ZoneInfo("Europe/Berlin"))
    assert night.astimezone(UTC) == datetime(2026, 11, 28, 2, tzinfo=UTC)
    make_override(schedule, "bob", starts_at=night - timedelta(hours=3), ends_at=night + timedelta(hours=3))
    policy = make_policy(fallback=make_user("carol"))
    by_schedule(policy, schedule)
    assert previews.preview(policy, NOW, NOW).rows[0].who == "Alice"
    assert previews.preview(policy, night, NOW).rows[0].who == "Bob"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-22T12:00", "2026-11-28T03:00"),
        ("2026-11-28T02:59", "2026-11-28T03:00"),
        ("2026-11-28T03:00", "2026-12-05T03:00"),
    ],
)
def test_saturday_is_the_next_one(now, expected):
    zone = ZoneInfo("Europe/Berlin")
    night = previews.saturday_night(datetime.fromisoformat(now).replace(tzinfo=zone), zone)
    assert night.replace(tzinfo=None) == datetime.fromisoformat(expected)


def said(policy, at=NOW):
    return " | ".join(previews.preview(policy, at, NOW).warnings)


def test_nobody_on_shift_is_red():
    policy = make_policy(fallback=verified("carol"))
    by_schedule(policy, make_schedule({"turns": ("alice",), "ends_on": NOW.date() - timedelta(days=2)}))
    words = said(policy)
    assert "Payments has nobody on call at" in words
    assert "Step 1 reaches nobody: it is passed without its wait." in words
    assert "No step reaches anybody: only the fallback is paged." in words


def test_nobody_verified_failing_and_untested_are_told_apart():
    never = make_user("alice")
    failing = verified("bob", last_failed_at=NOW - timedelta(hours=1))
    stale = verified("carol", verified_at=NOW - timedelta(days=90))
    words = said(make_policy((0, never), (60, failing), fallback=stale))
    assert "Alice has no verified way" in words
    assert "Bob could not be reached last time" in words
    assert "Carol was not tested lately" in words


def test_a_message_that_went_out_lately_is_a_test_and_mends_a_failure_before_it():
    alice = verified("alice", verified_at=NOW - timedelta(days=90), last_failed_at=NOW - timedelta(days=9))
    Page.objects.create(
        key="1", user=alice, kind="email", address="alice@example.org", subject="s", body="b", state="sent",
        target_label="Alice", next_try_at=NOW, deadline=NOW, created_at=NOW, sent_at=NOW - timedelta(days=2),
    )  # fmt: skip
    assert said(make_policy((0, alice), fallback=verified("carol"))) == ""


def test_the_same_person_twice_is_red():
    alice = verified("alice")
    words = said(make_policy((0, alice), (60, verified("bob")), (60, alice), fallback=alice))
    assert "Alice is paged by step 1 and again by step 3" in words and "Bob is paged" not in words


def test_a_switched_off_channel_and_a_missing_address_are_red():
    off = make_channel(enabled=False)
    nobody = make_user("mallory", email="")
    words = said(make_policy((0, off), (60, nobody), fallback=nobody))
    assert "is switched off" in words and "Mallory has no address" in words
    assert "the fallback cannot be reached either" in words


# --- The pages ---
@pytest.fixture
def as_admin(client):
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    return client


def see(client, status=200, **query):
    answer = client.get(reverse("alerts:preview"), query)
    assert answer.status_code == status
    return answer


def test_a_preview_is_asked_by_policy_rule_or_component(as_admin):
    policy = make_policy((0, verified("alice")), name="Pay on call")
    other = make_policy((0, verified("bob")), name="Other")
    component = make_component("Payments")
    rule = make_rule("errorCount > 5", policy=policy, component_name="Payments")
    make_rule("errorCount > 6", policy=other, component_name="Journal")
    assert "Pay on call, if it fires" in see(as_admin, policy=policy.pk).content.decode()
    for query in ({"rule": rule.pk}, {"component": component.pk}):
        found = see(as_admin, **query).context["found"]
        assert [one.policy for one in found] == [policy] and rule.name in found[0].why
    assert see(as_admin, rule=make_rule("errorCount > 7").pk).context["found"] == []


def test_a_date_is_by_the_readers_clock(as_admin, settings):
    policy = make_policy((0, verified("alice")))
    found = see(as_admin, policy=policy.pk, when="on", at="2026-11-28T03:00").context["found"]
    assert previews.clock(found[0].at.astimezone(UTC)).startswith("Sat 28 Nov 03:00")
    assert see(as_admin, policy=policy.pk, when="saturday").context["found"][0].at.weekday() == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"when": "on"}, "at"),
        ({"when": "on", "at": "tomorrow"}, "at"),
        ({"when": "on", "at": "9999-12-31T23:59"}, "at"),
        ({"when": "never"}, "when"),
        ({"policy": "999999"}, "policy"),
        ({"policy": "1; DROP"}, "policy"),
    ],
)
def test_what_cannot_be_previewed_is_refused_at_its_field(as_admin, query, field):
    shown = see(as_admin, **query).context
    assert field in shown["form"].errors and not shown["found"]


def test_a_policys_page_shows_now_and_saturday_night_and_names_stay_text(as_admin):
    alice = make_user("alice")
    alice.first_name = "<script>alert(1)</script>"
    alice.save()
    policy = make_policy((0, alice))
    page = as_admin.get(reverse("admin:alerts_escalationpolicy_change", args=[policy.pk])).content.decode()
    assert "If it fired now" in page and "If it fired Sat" in page and "03:00" in page
    assert "<script>alert" not in page and "&lt;script&gt;" in page


def test_who_may_not_see_policies_sees_no_preview(client):
    make_policy((0, make_user("alice")))
    client.force_login(make_user("mallory", is_staff=True))
    assert see(client, 403)
    viewer = make_user("bob", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert see(client)
