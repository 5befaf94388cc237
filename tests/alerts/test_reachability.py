"""Whether everybody whom the next days may page can be reached."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.alerts import paging
from apps.alerts.confidence import reachability, verifying
from apps.alerts.models import ContactMethod, Page
from apps.alerts.models.oncall import PersonZone
from apps.audit.models import AuditEvent
from apps.projects.models import Team
from tests.alerts.make import NOW, at, make_channel, make_policy, make_user
from tests.alerts.make_oncall import make_override, make_schedule
from tests.alerts.test_api import client_of
from tests.alerts.test_preview import by_schedule, verified

pytestmark = pytest.mark.django_db


def states(made):
    return {one.person.name: one.state for one in made.people}


def test_everybody_whom_a_policy_may_page_is_looked_at_and_nobody_else():
    for name in ("alice", "bob", "carol"):
        verified(name)
    verified("mallory")
    schedule = make_schedule({"turns": ("alice",)})
    make_override(schedule, "bob", starts_at=at(3600), ends_at=at(7200))
    make_override(schedule, "mallory", starts_at=at(9 * 86_400), ends_at=at(10 * 86_400))
    policy = make_policy(fallback=make_user("carol"), name="Pay")
    by_schedule(policy, schedule)
    made = reachability.audit(now=NOW)
    assert states(made) == {"Alice": "ok", "Bob": "ok", "Carol": "ok"}
    first = {one.person.name: one.first for one in made.people}
    assert first == {"Alice": NOW, "Bob": at(3600), "Carol": None}
    assert made.ok and made.sentence == "All 3 people can be reached, at any time."


def test_teams_and_people_of_steps_are_looked_at():
    team = Team.objects.create(name="Payments", slug="payments")
    team.members.add(make_user("alice"))
    gone = verified("bob", verified_at=NOW)
    gone.is_active = False
    gone.save()
    make_policy((0, team), (60, gone), (60, make_user("mallory", email="")), fallback=verified("carol"))
    made = reachability.audit(now=NOW)
    assert states(made) == {"Alice": "unverified", "Bob": "gone", "Mallory": "none", "Carol": "ok"}
    assert not made.ok and made.sentence == "3 of 4 people may not be reached."
    assert made.people[-1].person.name == "Carol"  # what is red comes first


def test_the_best_way_counts_and_an_old_test_is_a_warning_only():
    alice = verified("alice", last_failed_at=NOW, order=1)
    ContactMethod.objects.create(
        user=alice, kind="email", address="second@example.org", order=2, verified_at=NOW - timedelta(days=50)
    )
    made = (make_policy((0, alice), fallback=alice), reachability.audit(now=NOW))[1]
    assert states(made) == {"Alice": "stale"} and made.ok
    assert [state for _, state in made.people[0].ways] == ["failing", "stale"]


def test_a_gap_that_another_step_covers_is_told_from_one_that_nobody_covers():
    verified("alice"), verified("carol")
    until = {"ends_on": (NOW + timedelta(days=2)).date()}
    schedule = make_schedule({"turns": ("alice",), **until})
    alone = make_policy(fallback=make_user("carol"), name="Alone")
    by_schedule(alone, schedule)
    covered = make_policy((300, make_channel()), fallback=make_user("carol"), name="Covered")
    by_schedule(covered, schedule, order=0)
    made = reachability.audit(now=NOW)
    assert [(gap.policy, gap.nobody) for gap in made.gaps] == [("Alone", True), ("Covered", False)]
    assert made.gaps[0].starts == (NOW + timedelta(days=2)).replace(hour=8, minute=0, second=0)
    assert made.sentence == "1 gap that nobody covers."
    plan = paging.plan_for(alone, made.gaps[0].starts)
    assert (
        plan.reaches_nobody
        and not paging.plan_for(alone, made.gaps[0].starts - timedelta(seconds=1)).reaches_nobody
    )


def test_a_gap_covered_by_another_schedule_for_a_while_only_is_not_covered():
    verified("alice"), verified("bob"), verified("carol")
    day = {"ends_on": (NOW + timedelta(days=2)).date()}
    longer = {"ends_on": (NOW + timedelta(days=4)).date()}
    policy = make_policy(fallback=make_user("carol"))
    by_schedule(policy, make_schedule({"turns": ("alice",), **day}, name="First"))
    by_schedule(policy, make_schedule({"turns": ("bob",), **longer}, name="Second"), order=2)
    assert {gap.schedule: gap.nobody for gap in reachability.audit(now=NOW).gaps} == {
        "First": True, "Second": True
    }  # fmt: skip


def test_without_a_policy_nothing_pages_anybody():
    made = reachability.audit(now=NOW)
    assert not made.ok and "no escalation policy" in made.sentence


def test_the_statements_are_few_whatever_there_is():
    def ask():
        with CaptureQueriesContext(connection) as found:
            reachability.audit(now=NOW)
        return len(found)

    policy = make_policy((0, verified("alice")), fallback=verified("carol"))
    by_schedule(policy, make_schedule({"turns": ("alice",)}), order=2)
    before = ask()
    for number, name in enumerate(("bob", "mallory")):
        other = make_policy((0, verified(name)))
        by_schedule(other, make_schedule({"turns": ("bob", "mallory")}, name=f"S{number}"), order=2)
    assert ask() == before


# --- Proving an address ---
def code_of(page):
    return page.body.split("Your code is ")[1][: verifying.LENGTH]


@pytest.fixture
def as_alice(client):
    alice = make_user("alice", is_staff=True)
    alice.groups.add(Group.objects.get(name="Responder"))
    client.force_login(alice)
    return client


def test_a_code_goes_out_by_the_way_of_pages_and_typing_it_in_verifies(as_alice):
    method = ContactMethod.objects.create(user=make_user("alice"), kind="email", address="a@example.org")
    answer = as_alice.post(reverse("alerts:send_code", args=[method.pk]))
    assert answer["Location"] == reverse("alerts:confirm_way", args=[method.pk])
    page = Page.objects.get()
    assert (page.state, page.address, page.contact_method) == ("sent", "a@example.org", method)
    wrong = as_alice.post(reverse("alerts:confirm_way", args=[method.pk]), {"code": "ABCDEFGHJK"})
    assert wrong.status_code == 200 and "not the code" in wrong.content.decode()
    method.refresh_from_db()
    assert method.verified_at is None
    right = as_alice.post(
        reverse("alerts:confirm_way", args=[method.pk]), {"code": f" {code_of(page).lower()} "}
    )
    assert right.status_code == 302
    method.refresh_from_db()
    assert method.verified_at is not None
    assert AuditEvent.objects.filter(action="contact_method.verify").exists()


def test_a_code_counts_for_its_quarter_and_the_next_and_for_its_address_alone():
    method = ContactMethod.objects.create(user=make_user("alice"), kind="email", address="a@example.org")
    code = verifying.code_for(method, NOW)
    verifying.confirm(method=method, code=code, now=at(900))
    with pytest.raises(ValidationError):
        verifying.confirm(method=method, code=code, now=at(1800))
    method.address = "mallory@example.org"
    with pytest.raises(ValidationError):
        verifying.confirm(method=method, code=code, now=NOW)


def test_nobody_proves_the_address_of_another_and_nothing_goes_out_by_get(as_alice):
    other = ContactMethod.objects.create(user=make_user("bob"), kind="email", address="b@example.org")
    for name in ("send_code", "confirm_way"):
        assert as_alice.post(reverse(f"alerts:{name}", args=[other.pk]), {"code": "x"}).status_code == 403
    assert as_alice.get(reverse("alerts:send_code", args=[other.pk])).status_code == 405
    assert as_alice.post(reverse("alerts:send_code", args=[10**9])).status_code == 404
    assert not Page.objects.exists()


def test_another_address_is_not_the_one_that_was_proven(client):
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    alice = verified("alice")
    method = alice.contact_methods.get()
    form = {"user": alice.pk, "kind": "email", "order": 2, "enabled": "on", "address": method.address}
    address = reverse("admin:alerts_contactmethod_change", args=[method.pk])
    assert client.post(address, form).status_code == 302
    method.refresh_from_db()
    assert method.verified_at is not None
    assert client.post(address, {**form, "address": "new@example.org"}).status_code == 302
    method.refresh_from_db()
    assert method.verified_at is None


# --- Pages and the API ---
def test_the_page_says_who_cannot_be_reached_and_whose_clock(as_alice):
    PersonZone.objects.create(user=make_user("alice"), zone="Asia/Tokyo")
    policy = make_policy((0, make_user("alice")), fallback=verified("carol", verified_at=timezone.now()))
    by_schedule(policy, make_schedule({"turns": ("alice",), "ends_on": NOW.date()}), order=2)
    answer = as_alice.get(reverse("alerts:reachability"))
    text = answer.content.decode()
    assert answer.status_code == 200 and "Never verified" in text and "Asia/Tokyo" in text
    assert "example.org" not in text
    as_alice.force_login(make_user("mallory", is_staff=True))
    assert as_alice.get(reverse("alerts:reachability")).status_code == 403


def test_the_api_says_the_same_without_addresses(client):
    make_policy((0, make_user("alice")), fallback=verified("carol", verified_at=timezone.now()))
    address = "/api/reliability/on-call/reachability"
    assert client.get(address).status_code == 401
    answer = client_of("bob", group="Viewer", scopes=("api:read",)).get(address)
    body = answer.json()
    assert (answer.status_code, body["ok"], body["gaps"]) == (200, False, [])
    alice, carol = body["people"]
    assert (alice["name"], alice["state"], alice["reachable"], alice["firstDuty"]) == (
        "Alice", "unverified", False, None
    )  # fmt: skip
    assert (carol["reachable"], carol["ways"][0]["state"]) == (True, "ok")
    assert "example.org" not in answer.content.decode()


def test_the_home_page_says_it_to_who_may_see_policies(client):
    make_policy((0, make_user("alice")), fallback=verified("carol", verified_at=timezone.now()))
    viewer = make_user("bob", is_staff=True)
    client.force_login(viewer)
    assert "Who can be reached" not in client.get(reverse("admin:index")).content.decode()
    viewer.groups.add(Group.objects.get(name="Viewer"))
    text = client.get(reverse("admin:index")).content.decode()
    assert "1 of 2 people may not be reached." in text and "Never verified" in text
