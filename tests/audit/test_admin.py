"""What people change in the admin ends in the audit log with before and after, whichever page they use."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client

from apps.audit import services as audit
from apps.audit.admin import AuditedAdmin
from apps.audit.models import AuditEvent
from apps.core.admin import ReadOnlyMixin
from apps.projects.models import Project, ProjectKey, RoutingRule, Team
from tests.people import PASSWORD, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    """Alice, who may everything."""
    browser = Client()
    browser.force_login(make_person("alice", is_superuser=True))
    return browser


def changes_of(action):
    return [(e.resource_label, e.changes) for e in AuditEvent.objects.filter(action=action).order_by("id")]


def keys_form(*rows, initial=0):
    form = {"keys-TOTAL_FORMS": len(rows), "keys-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        form |= {f"keys-{number}-{name}": value for name, value in row.items()}
    return form


def post(client, address, data):
    answer = client.post(address, data)
    assert answer.status_code == 302, answer.context["errors"]
    return answer


def test_every_page_of_our_own_rooms_is_audited_or_read_only():
    loose = [
        model._meta.label
        for model, page in admin.site._registry.items()
        if not isinstance(page, AuditedAdmin | ReadOnlyMixin)
    ]
    assert loose == []  # those of Django and of libraries included: nobody changes anything without a trace
    assert len(admin.site._registry) > 8


def test_adding_and_changing_a_row_is_recorded_with_what_it_was_and_what_it_became(client):
    post(client, "/admin/projects/team/add/", {"name": "Core", "slug": "core"})
    team = Team.objects.get()
    post(client, f"/admin/projects/team/{team.pk}/change/", {"name": "Kernel", "slug": "core"})
    assert changes_of("team.create") == [
        (
            "Core",
            {"id": [None, team.pk], "name": [None, "Core"], "slug": [None, "core"], "members": [None, []]},
        )
    ]
    assert changes_of("team.update") == [("Kernel", {"name": ["Core", "Kernel"]})]
    event = AuditEvent.objects.get(action="team.update")
    assert (event.actor_label, event.category, event.resource_id) == ("alice", "config", str(team.pk))


def test_links_are_recorded_by_the_names_of_what_is_linked(client):
    team = Team.objects.create(name="Core", slug="core")
    bob = make_person("bob")
    sent = {"name": "Core", "slug": "core", "members": [bob.pk]}
    post(client, f"/admin/projects/team/{team.pk}/change/", sent)
    assert changes_of("team.update") == [("Core", {"members": [[], ["bob"]]})]


def test_rows_of_an_inline_are_recorded_each_by_itself(client):
    sent = {"name": "Shop", "slug": "shop"}
    post(client, "/admin/projects/project/add/", sent | keys_form({"label": "first", "active": "on"}))
    key = ProjectKey.objects.get()
    ((label, created),) = changes_of("project_key.create")
    assert label == "Shop: first"
    assert created["label"] == [None, "first"]
    row = {"id": key.pk, "project": key.project_id, "label": "first"}
    address = f"/admin/projects/project/{key.project_id}/change/"
    post(client, address, sent | keys_form(row, initial=1))
    assert changes_of("project_key.update") == [("Shop: first", {"active": [True, False]})]
    post(client, address, sent | keys_form(row, initial=1))
    assert len(changes_of("project_key.update")) == 1  # nothing was changed


def test_rows_changed_in_the_list_are_recorded_each_by_itself(client):
    one, two = (RoutingRule.objects.create(pattern=p, component="Auth", order=1) for p in ("auth", "login"))
    form = {"form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 2, "_save": "Save"}
    for number, (rule, order) in enumerate(((one, 5), (two, 1))):
        form |= {f"form-{number}-id": rule.pk, f"form-{number}-order": order}
    post(client, "/admin/projects/routingrule/", form)
    assert changes_of("routing_rule.update") == [("auth → Auth", {"order": [1, 5]})]


def test_deleting_where_a_page_allows_it_is_recorded_with_what_was_there(client):
    rule = RoutingRule.objects.create(pattern="auth", component="Auth")
    post(client, f"/admin/projects/routingrule/{rule.pk}/delete/", {"post": "yes"})
    ((label, gone),) = changes_of("routing_rule.delete")
    assert label == "auth → Auth"
    assert gone["pattern"] == ["auth", None]


def test_what_has_history_is_not_deleted_in_the_admin(client):
    project = Project.objects.create(name="Shop", slug="shop")
    assert client.post(f"/admin/projects/project/{project.pk}/delete/", {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [project.pk], "post": "yes"}
    client.post("/admin/projects/project/", bulk)
    assert Project.objects.exists()


def test_a_new_person_and_new_roles_are_on_record_and_the_password_is_not(client):
    new = {"username": "bob", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    post(client, "/admin/auth/user/add/", new)
    bob = User.objects.get(username="bob")
    ((_, created),) = changes_of("user.create")
    assert created["username"] == [None, "bob"]
    viewer = Group.objects.get(name="Viewer")
    sent = {
        "username": "bob", "is_active": "on", "is_staff": "on", "groups": [viewer.pk],
        "date_joined_0": "2026-05-01", "date_joined_1": "12:00:00",
    }  # fmt: skip
    post(client, f"/admin/auth/user/{bob.pk}/change/", sent)
    ((_, changed),) = changes_of("user.update")
    assert changed["groups"] == [[], ["Viewer"]]
    assert changed["is_staff"] == [False, True]
    assert "password" not in changed
    event = AuditEvent.objects.get(action="user.update")
    assert event.category == "security"
    for kept in AuditEvent.objects.values_list("canonical", flat=True):
        assert bob.password not in kept
        assert PASSWORD not in kept


def test_a_password_set_by_an_admin_is_on_record(client):
    bob = make_person("bob")
    new = {"password1": "a quite different long phrase", "password2": "a quite different long phrase"}
    post(client, f"/admin/auth/user/{bob.pk}/password/", new | {"usable_password": "true"})
    event = AuditEvent.objects.get(action="user.password")
    assert (event.actor_label, event.resource_id) == ("alice", str(bob.pk))


def test_what_a_role_may_do_is_recorded_when_it_changes(client):
    group = Group.objects.get(name="Viewer")
    before = sorted(str(p) for p in group.permissions.all())
    post(client, f"/admin/auth/group/{group.pk}/change/", {"name": "Viewer", "permissions": []})
    assert changes_of("group.update") == [("Viewer", {"permissions": [before, []]})]


def test_nobody_adds_changes_or_deletes_an_audit_event_a_superuser_included(client):
    event = audit.record("probe.kept")
    page = f"/admin/audit/auditevent/{event.pk}"
    assert client.get("/admin/audit/auditevent/").status_code == 200
    assert event.canonical.split('"id":"')[1][:36] in client.get(f"{page}/change/").content.decode()
    assert client.get("/admin/audit/auditevent/add/").status_code == 403
    assert client.post(f"{page}/change/", {"action": "x"}).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert AuditEvent.objects.get(action="probe.kept") == event
