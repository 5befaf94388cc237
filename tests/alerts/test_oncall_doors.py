"""The doors of on-call: admin, pages, API, and the calendar that needs no sign-in."""

import re

import icalendar
import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.alerts.models.oncall import CalendarLink, Layer, LayerMember, Override, PersonZone, Schedule
from apps.alerts.oncall import services as oncall
from apps.audit.models import AuditEvent
from apps.projects.models import Team
from apps.projects.services import create_token
from tests.alerts.make import NOW, make_user
from tests.alerts.make_oncall import event, ical, make_override, make_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def as_admin(client):
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    return client


def make_reader(client, *codenames):
    """Bob, who may see schedules, and what is named."""
    bob = make_user("bob", is_staff=True)
    bob.user_permissions.add(*Permission.objects.filter(codename__in=("view_schedule", *codenames)))
    client.force_login(bob)
    return bob


def inline(prefix, *rows):
    """Fields of an inline's formset."""
    fields = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": 0}
    return fields | {
        f"{prefix}-{n}-{name}": value for n, row in enumerate(rows) for name, value in row.items()
    }


LAYER = {
    "name": "Weeks",
    "order": 1,
    "starts_on": "2026-11-02",
    "handover_at": "09:00",
    "every": 1,
    "unit": "weeks",
}


def schedule_form(**facts):
    return {
        "name": "Payments",
        "zone": "europe/berlin",
        **inline("layers", LAYER),
        **inline("overrides"),
        **facts,
    }


# --- Admin ------------------------------------------------------------------------------------------------
def test_a_schedule_with_a_layer_is_made_in_the_admin_and_audited(as_admin):
    answer = as_admin.post(reverse("admin:alerts_schedule_add"), schedule_form())
    assert answer.status_code == 302, answer.context["errors"]
    layer = Layer.objects.get()
    assert (layer.schedule.zone, layer.every, layer.unit) == ("Europe/Berlin", 1, "weeks")
    assert {"schedule.create", "layer.create"} <= set(AuditEvent.objects.values_list("action", flat=True))


def test_people_are_put_into_a_layer_on_its_own_page(as_admin):
    layer = make_schedule({"turns": ()}).layers.get()
    rows = [{"user": make_user("alice").pk, "order": 1}, {"user": make_user("bob").pk, "order": 2}]
    form = {**LAYER, "schedule": layer.schedule_id, **inline("members", *rows)}
    answer = as_admin.post(reverse("admin:alerts_layer_change", args=[layer.pk]), form)
    assert answer.status_code == 302, answer.context["errors"]
    assert LayerMember.objects.filter(layer=layer).count() == 2


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"zone": "Mars/Base"}, "is no IANA time zone"),
        ({"layers-0-windows": "Mon 09:00-09:00"}, "has no length"),
        ({"layers-0-windows": "always"}, "is no window"),
        ({"layers-0-every": 0}, "greater than or equal to 1"),
        ({"layers-0-every": 500}, "366 days at most"),
        ({"layers-0-ends_on": "2026-11-01"}, "ends before it starts"),
        ({"layers-0-starts_on": "31.31.2026"}, "Enter a valid date"),
        ({"layers-0-starts_on": "0001-01-01"}, "Outside the years 1971 to 2999"),
        ({"layers-0-ends_on": "9999-12-31"}, "Outside the years 1971 to 2999"),
        ({"layers-0-zone": "Berlin"}, "is no IANA time zone"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_at_its_field(as_admin, facts, said):
    answer = as_admin.post(reverse("admin:alerts_schedule_add"), schedule_form(**facts))
    assert answer.status_code == 200 and said in answer.content.decode().replace("&#x27;", "'")
    assert not Schedule.objects.exists() and not Layer.objects.exists()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("2026-11-22", "no length"),
        ("2028-11-24", "Longer than a year"),
        ("9999-12-31", "Outside"),
        ("", "required"),
    ],
)
def test_an_override_row_that_makes_no_sense_is_refused(as_admin, ends, said):
    schedule = make_schedule({"turns": ("alice",)})
    row = {
        "user": make_user("bob").pk, "starts_at_0": "2026-11-23", "starts_at_1": "09:00", "ends_at_0": ends,
        "ends_at_1": "09:00" if ends else "",
    }  # fmt: skip
    form = {"name": "Payments", "zone": "Europe/Berlin", **inline("layers"), **inline("overrides", row)}
    answer = as_admin.post(reverse("admin:alerts_schedule_change", args=[schedule.pk]), form)
    assert answer.status_code == 200 and said in answer.content.decode()
    assert not Override.objects.exists()


def test_the_page_of_a_schedule_shows_who_has_it_and_gaps_in_red_without_inline_style(as_admin):
    schedule = make_schedule({"windows": "Mon-Fri 09:00-17:00"}, name="<b>Payments</b>")
    make_override(schedule, "mallory")
    page = as_admin.get(reverse("admin:alerts_schedule_change", args=[schedule.pk])).content.decode()
    assert "Now <b>Mallory</b> until" in page and "oncall-gap oncall-from-" in page
    assert "Nobody is on call for 21 d" in page and "note--bad" in page
    assert "<b>Payments</b>" not in page and " style=" not in page


def test_the_zone_of_the_timeline_is_the_readers_or_the_schedules(as_admin):
    schedule = make_schedule({}, zone="Asia/Kolkata")
    address = reverse("admin:alerts_schedule_change", args=[schedule.pk])
    assert as_admin.get(address).context["sight_zone"] == "UTC"
    assert "IST" in as_admin.get(address, {"zone": "schedule"}).context["sight"].rows[0].here[1]


def test_an_empty_schedule_and_the_lists_open(as_admin):
    schedule = make_schedule()
    PersonZone.objects.create(user=make_user(), zone="Asia/Kolkata")
    oncall.create_link(subject=schedule, now=NOW, actor=make_user())
    for name in ("schedule", "layer", "personzone", "calendarlink"):
        assert as_admin.get(reverse(f"admin:alerts_{name}_changelist")).status_code == 200
    page = as_admin.get(reverse("admin:alerts_schedule_change", args=[schedule.pk]))
    assert page.status_code == 200 and "It has no layers" in page.content.decode()


def test_standing_in_is_a_button_with_a_form(client):
    bob = make_reader(client, "add_override", "change_schedule")
    schedule = make_schedule({"turns": ("alice",)})
    address = reverse("admin:alerts_schedule_press", args=[schedule.pk, "standin"])
    assert client.post(address).status_code == 200
    form = {"confirmed": 1, "user": bob.pk, "starts_at_0": "2026-11-23", "starts_at_1": "09:00",
            "ends_at_0": "2026-11-24", "ends_at_1": "09:00", "reason": "Swap"}  # fmt: skip
    assert client.post(address, form).status_code == 302
    assert Override.objects.get().created_by == "bob"


# --- Pages ------------------------------------------------------------------------------------------------
def test_who_is_on_call_now_is_one_page(client):
    make_reader(client)
    make_schedule({"turns": ("alice", "carol")}, name="Payments")
    make_schedule(name="Empty")
    page = client.get(reverse("alerts:on_call")).content.decode()
    assert "Alice" in page and "Carol" in page and "Nobody has it" in page and "more than two weeks" in page


@pytest.mark.parametrize("name", ["on_call", "calendars"])
def test_who_may_not_see_schedules_sees_none_of_it(client, name):
    client.force_login(make_user("mallory", is_staff=True))
    assert client.get(reverse(f"alerts:{name}")).status_code == 403
    assert client.post(reverse("alerts:calendars"), {"of": "me"}).status_code == 403
    assert not CalendarLink.objects.exists()


def test_reading_a_calendar_in_needs_the_right_to_change_the_schedule(client):
    make_reader(client)
    schedule = make_schedule({})
    assert client.get(reverse("alerts:import_calendar", args=[schedule.pk])).status_code == 403


def upload(client, schedule, data):
    given = {"calendar": SimpleUploadedFile("x.ics", data)} if data is not None else {}
    return client.post(reverse("alerts:import_calendar", args=[schedule.pk]), given)


def test_a_calendar_is_read_in_or_refused_with_the_reason_at_its_field(as_admin):
    schedule = make_schedule({})
    answer = upload(as_admin, schedule, ical(event("1"), event("2", who="Zoe")))
    assert (
        answer.status_code == 200
        and "no user name" in answer.content.decode()
        and not Override.objects.exists()
    )
    assert "larger than 256 KiB" in upload(as_admin, schedule, b"x" * 300_000).content.decode()
    assert "no iCalendar file" in upload(as_admin, schedule, b"\x00\xff").content.decode()
    assert "This field is required" in upload(as_admin, schedule, None).content.decode()
    assert upload(as_admin, schedule, ical(event("1"))).status_code == 302
    assert Override.objects.count() == 1


# --- Calendar links ---------------------------------------------------------------------------------------
def make_link(client, of="me"):
    page = client.post(reverse("alerts:calendars"), {"of": of})
    return page, re.search(r"/on-call/calendar/cal_[\w-]{43}\.ics", page.content.decode())


def test_a_link_is_shown_once_and_opens_the_calendar_without_sign_in(client):
    make_reader(client)
    make_schedule({"turns": ("alice", "bob")})
    page, found = make_link(client)
    assert "no-store" in page["Cache-Control"]
    assert found[0] not in client.get(reverse("alerts:calendars")).content.decode()
    client.logout()
    answer = client.get(found[0])
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/calendar")
    assert answer["Cache-Control"] == "private, no-store" and answer["Referrer-Policy"] == "no-referrer"
    events = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    assert events and {str(e["SUMMARY"]) for e in events} == {"Bob on call: Payments"}
    assert client.head(found[0]).status_code == 200 and client.post(found[0]).status_code == 405


def test_a_revoked_link_answers_as_one_that_never_was(client):
    make_reader(client)
    _, found = make_link(client)
    answer = client.post(reverse("alerts:revoke_calendar", args=[CalendarLink.objects.get().pk]))
    assert answer.status_code == 302
    gone, never = client.get(found[0]), client.get(f"/on-call/calendar/cal_{'A' * 43}.ics")
    assert gone.status_code == never.status_code == 404
    assert re.sub(r"req_\w+|[0-9a-f-]{20,}", "", gone.content.decode()) == re.sub(
        r"req_\w+|[0-9a-f-]{20,}", "", never.content.decode()
    )


def test_nobody_revokes_the_link_of_another(client):
    link, _ = oncall.create_link(subject=make_user("alice"), now=NOW, actor=make_user("alice"))
    make_reader(client)
    assert client.post(reverse("alerts:revoke_calendar", args=[link.pk])).status_code == 403
    assert client.get(reverse("alerts:revoke_calendar", args=[link.pk])).status_code == 405
    assert CalendarLink.objects.live().exists()


@pytest.mark.parametrize("of", ["", "you", "schedule:999999999", "team:0", "schedule:\0"])
def test_a_link_of_nothing_is_not_made(client, of):
    make_reader(client)
    page, found = make_link(client, of)
    assert page.status_code == 200 and found is None and not CalendarLink.objects.exists()


def test_links_of_schedules_and_teams_are_made_too(client):
    make_reader(client)
    team = Team.objects.create(name="Shop", slug="shop")
    schedule = make_schedule({}, team=team)
    assert make_link(client, f"schedule:{schedule.pk}")[1] and make_link(client, f"team:{team.pk}")[1]


# --- API --------------------------------------------------------------------------------------------------
def get(client, scopes=("api:read",), user=None, **query):
    user = user or make_user("carol", is_superuser=True)
    _, secret = create_token(user=user, scopes=list(scopes))
    return client.get("/api/on-call/", query, HTTP_AUTHORIZATION=f"Bearer {secret}")


def test_the_api_says_who_is_on_call_now_or_at_a_moment(client):
    team = Team.objects.create(name="Shop", slug="shop")
    make_schedule({"turns": ("alice", "bob")}, team=team)
    (row,) = get(client).json()
    assert row == {
        "id": row["id"], "schedule": "Payments", "team": "shop", "zone": "Europe/Berlin", "gap": False,
        "onCall": [{"id": make_user("alice").pk, "name": "Alice"}], "since": "2026-11-16T08:00:00Z",
        "until": "2026-11-23T08:00:00Z", "next": ["Bob"],
    }  # fmt: skip
    assert get(client, at="2026-11-24T00:00:00Z").json()[0]["onCall"][0]["name"] == "Bob"
    assert (
        get(client, team="other").json() == []
        and len(get(client, schedule="Payments", team="shop").json()) == 1
    )


def test_a_gap_is_said_to_be_one(client):
    make_schedule()
    (row,) = get(client).json()
    assert row["gap"] and row["onCall"] == [] == row["next"] and row["since"] is None and row["until"] is None


@pytest.mark.parametrize("at", ["yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01"])
def test_a_moment_that_is_none_is_refused_at_its_field(client, at):
    make_schedule({})
    answer = get(client, at=at)
    assert answer.status_code == 400 and "at" in {d["field"] for d in answer.json()["details"]}


def test_the_api_wants_the_scope_and_the_right(client):
    assert get(client, scopes=("alerts:write",)).status_code == 403
    assert get(client, user=make_user("mallory")).status_code == 403
    assert client.get("/api/on-call/").status_code == 401
