"""Keys and quotas in the admin: typed, shown, rotated, revoked."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.core import panels
from apps.ingest.models import ItemCount
from apps.projects.models import KeyDay, Project, ProjectKey
from apps.projects.services import create_project
from tests.people import make_person

pytestmark = pytest.mark.django_db
KEYS = "/admin/projects/projectkey/"


@pytest.fixture
def client():
    """Alice is an administrator."""
    signed_in = Client()
    signed_in.force_login(make_person("alice", is_staff=True, is_superuser=True))
    return signed_in


def make_key(name="Shop", **facts):
    key = create_project(name=name).keys.get()
    ProjectKey.objects.filter(pk=key.pk).update(**facts)
    key.refresh_from_db()
    return key


def page(client, address, **given):
    answer = client.get(address, **given)
    assert answer.status_code == 200, answer.content[:500]
    return answer.content.decode()


def press(client, key, verb, **form):
    answer = client.post(f"{KEYS}{key.pk}/press/{verb}/", form, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


# --- Keys ---------------------------------------------------------------------------------------------------------
def test_the_list_says_of_each_key_whether_it_is_still_in_use(client):
    today = timezone.now().date()
    used, idle = make_key(label="web"), make_key("Other", label="old", active=False)
    KeyDay.objects.create(key=used, day=today - timedelta(days=1), requests=9)
    KeyDay.objects.create(key=used, day=today, requests=1234)
    KeyDay.objects.create(key=idle, day=today - timedelta(days=40), requests=1)
    shown = page(client, KEYS)
    assert "today, 1,234 requests" in shown
    assert f"{today - timedelta(days=40):%Y-%m-%d}, 1 request<" in shown
    assert "revoked" in shown
    assert used.public_key not in shown


def test_lists_and_pages_of_keys_cost_the_same_however_many_there_are(client, django_assert_max_num_queries):
    key = make_key()
    for number in range(20):
        other = ProjectKey.objects.create(project=key.project, label=f"key {number}")
        KeyDay.objects.create(key=other, day=timezone.now().date(), requests=1)
    with django_assert_max_num_queries(12):
        page(client, KEYS)
    with django_assert_max_num_queries(16):
        page(client, f"/admin/projects/project/{key.project_id}/change/")


def test_rotating_asks_for_the_overlap_and_tells_the_new_dsn(client):
    key = make_key()
    asked = press(client, key, "rotate")
    assert "Days until the old key ends" in asked
    assert 'value="7"' in asked
    assert ProjectKey.objects.count() == 1
    told = press(client, key, "rotate", confirmed="1", overlap_days="3")
    successor = ProjectKey.objects.exclude(pk=key.pk).get()
    assert f"{successor.public_key}@" in told
    key.refresh_from_db()
    assert timedelta(days=2, hours=23) < key.expires_at - timezone.now() <= timedelta(days=3)
    assert "Rotate</button>" not in page(client, f"{KEYS}{key.pk}/change/")


@pytest.mark.parametrize("days", ["", "-1", "91", "x"])
def test_an_overlap_out_of_bounds_is_asked_for_again(client, days):
    key = make_key()
    assert "errorlist" in press(client, key, "rotate", confirmed="1", overlap_days=days)
    assert ProjectKey.objects.count() == 1


def test_a_revoked_key_offers_no_verbs_and_a_stale_page_changes_nothing(client):
    key = make_key()
    assert "within five seconds" in press(client, key, "revoke")
    assert not ProjectKey.objects.get().active
    shown = page(client, f"{KEYS}{key.pk}/change/")
    assert "press/revoke" not in shown
    assert "press/rotate" not in shown
    assert "switched off already" in press(client, key, "revoke")
    assert "has ended" in press(client, key, "rotate", confirmed="1", overlap_days="7")


def test_verbs_want_the_permission_and_post():
    key = make_key()
    bob = Client()
    bob.force_login(make_person("bob", "Viewer"))
    assert bob.post(f"{KEYS}{key.pk}/press/revoke/").status_code == 403
    alice = Client()
    alice.force_login(make_person("alice", is_staff=True, is_superuser=True))
    assert alice.get(f"{KEYS}{key.pk}/press/revoke/").status_code == 405
    assert ProjectKey.objects.get().active


# --- Origins ------------------------------------------------------------------------------------------------------
def save(client, key, **form):
    return client.post(f"{KEYS}{key.pk}/change/", {"label": "web", "active": "on", **form})


def test_origins_are_kept_as_browsers_write_them(client):
    key = make_key()
    typed = "HTTPS://App.Example.org/, https://*.example.org, http://localhost:3000"
    assert save(client, key, allowed_origins=typed).status_code == 302
    key.refresh_from_db()
    assert key.allowed_origins == [
        "https://app.example.org",
        "https://*.example.org",
        "http://localhost:3000",
    ]


@pytest.mark.parametrize("typed", ["app.example.org", "https://app.example.org/path", "https://*", "*"])
def test_what_is_no_origin_is_refused_with_what_to_write(client, typed):
    key = make_key()
    answer = save(client, key, allowed_origins=f"https://ok.example.org,{typed}")
    assert answer.status_code == 200
    shown = answer.content.decode()
    assert "is no origin" in shown
    assert "https://*.example.org for all hosts below a domain" in shown
    key.refresh_from_db()
    assert key.allowed_origins == []


def test_a_limit_of_nothing_is_refused(client):
    key = make_key()
    assert save(client, key, rate_limit_per_minute="0").status_code == 200
    assert save(client, key, rate_limit_per_minute="600").status_code == 302


# --- Quotas -------------------------------------------------------------------------------------------------------
def count(project, n, outcome="stored", day=None, kind="event"):
    ItemCount.objects.create(
        day=day or timezone.now().date(), project_id=project.pk, item_type=kind, outcome=outcome, n=n
    )


def test_a_projects_page_says_what_is_used_of_its_quotas_and_when_they_reset(client):
    project = make_key().project
    other = make_key("Other").project
    Project.objects.filter(pk=project.pk).update(events_per_day=1000)
    count(project, 990)
    count(project, 5000, "duplicate")
    count(project, 77, "over_quota")
    count(other, 10**6)
    shown = page(client, f"/admin/projects/project/{project.pk}/change/")
    assert "990 of 1,000" in shown
    assert f"Resets {timezone.now().date() + timedelta(days=1):%Y-%m-%d} 00:00 UTC" in shown
    assert "No quota is set." in shown  # for the month
    assert "Refused today: over a quota" in shown
    assert "77" in shown


def test_a_quota_of_the_installation_is_shown_too(client, settings):
    project = make_key().project
    count(project, 40)
    count(make_key("Other").project, 60)
    settings.INGEST_EVENTS_PER_MONTH = 100
    shown = page(client, f"/admin/projects/project/{project.pk}/change/")
    assert "Events this month, all projects" in shown
    assert "100 of 100" in shown
    assert "Senders are told 429 until then." in shown


def test_who_fills_the_page_of_a_project():
    assert panels.names("projects.Project", "side") == ["quotas"]
