"""The six roles: deny first, and each may do what its name says."""

from fnmatch import fnmatch
from itertools import pairwise

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, get_resolver

from reliability_portal.roles import ROLES
from tests.people import make_person

pytestmark = pytest.mark.django_db
VERBS = ("add", "change", "delete")


def rights_of(role):
    return {
        f"{p.content_type.app_label}.{p.codename}"
        for p in Group.objects.get(name=role).permissions.select_related("content_type")
    }


def everything():
    return {
        f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")
    }


def changing(rights):
    """Those that do more than look."""
    return {right for right in rights if not right.split(".")[1].startswith("view_")}


def admin_addresses():
    """Every address below /admin/, with 1 or a word where it takes something."""
    found = []

    def walk(patterns, prefix):
        for entry in patterns:
            route = prefix + str(entry.pattern)
            if not isinstance(entry, URLPattern):
                walk(entry.url_patterns, route)
            elif route.startswith("admin/"):
                found.append("/" + fill(route))

    walk(get_resolver().url_patterns, "")
    return found


def fill(route):
    for converter, value in (("path", "1"), ("int", "1"), ("str", "1"), ("slug", "x"), ("uuid", "0" * 32)):
        while f"<{converter}:" in route:
            start = route.index(f"<{converter}:")
            route = route[:start] + value + route[route.index(">", start) + 1 :]
    return route.split("(?P<")[0].rstrip("$").replace("^", "").replace("\\Z", "")


OPEN = {
    "/admin/login/",
    "/admin/logout/",
    "/admin/jsi18n/",
    "/admin/password_change/",
    "/admin/password_change/done/",
}


def test_there_are_six_roles_with_the_rights_that_the_table_says():
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert set(ROLES) == {"Viewer", "Responder", "Commander", "Approver", "Auditor", "Admin"}
    for role, patterns in ROLES.items():
        wanted = {right for right in everything() if any(fnmatch(right, pattern) for pattern in patterns)}
        assert rights_of(role) == wanted, role


def test_every_line_of_the_table_names_a_right_that_exists():
    """A line that fits nothing is a right that somebody believes to have given."""
    read_only = ("ingest", "core", "telemetry")
    known = everything() | {f"{room}.{verb}_*" for room in read_only for verb in VERBS}
    for role, patterns in ROLES.items():
        for pattern in patterns:
            assert any(fnmatch(right, pattern) for right in known), (role, pattern)


def test_a_viewer_changes_nothing():
    assert changing(rights_of("Viewer")) == set()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_role_sees_what_a_viewer_sees(role):
    assert rights_of("Viewer") <= rights_of(role)


def test_an_auditor_changes_nothing_and_sees_the_audit_log():
    assert changing(rights_of("Auditor")) == set()
    seers = {role for role in ROLES if "audit.view_auditevent" in rights_of(role)}
    assert seers == {"Auditor", "Admin"}


def test_the_steps_from_viewer_to_admin_only_add():
    steps = ("Viewer", "Responder", "Commander", "Admin")
    for lower, upper in pairwise(steps):
        assert rights_of(lower) < rights_of(upper)


def test_only_admins_touch_people_projects_keys_and_channels():
    guarded = ("auth.", "projects.")
    for role in set(ROLES) - {"Admin"}:
        loose = {
            r for r in changing(rights_of(role)) if r.startswith(guarded) or "channel" in r or "token" in r
        }
        assert loose == set(), role


def test_no_role_deletes_people_or_changes_what_roles_mean_or_writes_audit_events():
    for role in ROLES:
        rights = rights_of(role)
        assert not {r for r in changing(rights) if r.startswith("audit.")}
        assert not rights & {
            "auth.delete_user",
            "auth.change_group",
            "auth.add_group",
            "auth.change_permission",
        }


def test_who_writes_a_post_mortem_is_not_by_that_alone_who_approves_it():
    approvers = {role for role in ROLES if "incidents.approve_postmortem" in rights_of(role)}
    assert approvers == {"Approver", "Admin"}


@pytest.fixture
def nobody():
    """Mallory, who may sign in to the admin but is in no role."""
    client = Client(raise_request_exception=False)
    client.force_login(make_person("mallory"))
    return client


def test_the_walk_below_finds_the_pages_of_every_room():
    addresses = admin_addresses()
    assert len(addresses) > 60
    for model in admin.site._registry:
        assert f"/admin/{model._meta.app_label}/{model._meta.model_name}/" in addresses


def says_nothing(address, answer):
    """Refused, or sent on as everybody is: where nothing exists, and from the short address of an object."""
    led = answer.headers.get("Location", "")
    return answer.status_code in (403, 404, 405) or led in ("/admin/", f"{address}change/")


def test_who_is_in_no_role_reads_nothing_of_any_room(nobody):
    """The home page and pages without a room stay; whatever belongs to a model is refused, to GET and to POST."""
    labels = {config.label for config in apps.get_app_configs()}
    rooms = [a for a in admin_addresses() if a.split("/")[2] in labels]
    assert len(rooms) > 50
    leaks = {
        (method.__name__, address, answer.status_code, answer.headers.get("Location"))
        for address in rooms
        for method in (nobody.get, nobody.post)
        if not says_nothing(address, answer := method(address))
    }
    assert leaks == set()


def test_without_signing_in_every_page_of_the_admin_leads_to_the_sign_in():
    client = Client(raise_request_exception=False)
    for address in set(admin_addresses()) - OPEN:
        answer = client.get(address)
        led = answer.status_code == 302 and answer["Location"].startswith(("/admin/login/", address))
        assert led or answer.status_code in (403, 404, 405), (address, answer.status_code)


def test_a_person_who_is_no_staff_gets_no_further_than_the_sign_in():
    client = Client()
    client.force_login(make_person("bob", "Admin", is_staff=False))
    assert client.get("/admin/projects/project/").status_code == 302


@pytest.mark.parametrize("role", ["Viewer", "Responder", "Commander", "Approver", "Auditor"])
def test_only_admins_open_the_page_of_people(role):
    client = Client(raise_request_exception=False)
    client.force_login(make_person("bob", role))
    assert client.get("/admin/auth/user/").status_code == 403
    assert client.post("/admin/auth/user/add/", {"username": "x"}).status_code == 403


def test_an_admin_makes_nobody_a_superuser_and_takes_over_none():
    alice = make_person("alice", is_superuser=True)
    bob = make_person("bob", "Admin")
    client = Client(raise_request_exception=False)
    client.force_login(bob)
    sent = {
        "username": "bob", "is_active": "on", "is_staff": "on", "is_superuser": "on",
        "user_permissions": [Permission.objects.get(codename="delete_user").pk],
        "groups": [Group.objects.get(name="Admin").pk], "date_joined_0": "2026-05-01", "date_joined_1": "12:00:00",
    }  # fmt: skip
    assert client.post(f"/admin/auth/user/{bob.pk}/change/", sent).status_code == 302
    bob = User.objects.get(pk=bob.pk)
    assert (bob.is_superuser, bob.user_permissions.count(), bob.groups.count()) == (False, 0, 1)
    new = {"password1": "a quite different long phrase", "password2": "a quite different long phrase"}
    for address in (f"{alice.pk}/change/", f"{alice.pk}/password/"):
        assert client.post(f"/admin/auth/user/{address}", new | sent).status_code == 403
    assert User.objects.get(pk=alice.pk).password == alice.password


def test_every_room_has_its_rights_in_the_table():
    """A room that nobody may see is a room that somebody forgot."""
    rooms = {name.removeprefix("apps.") for name in settings.ROOMS}
    with_models = {room for room in rooms if list(apps.get_app_config(room).get_models())}
    seen = {right.split(".")[0] for right in rights_of("Admin") if ".view_" in right}
    assert with_models <= seen
