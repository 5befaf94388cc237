"""Jobs and runs in the admin: whoever may look sees them, and nobody changes them."""

import pytest
from django.test import Client
from django.utils import timezone

from apps.health.models import CheckIn, Heartbeat
from apps.projects.services import create_project
from tests.people import make_person

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def job():
    project = create_project(name="Shop")
    made = Heartbeat.objects.create(
        project=project, slug="nightly", environment=EVIL, last_status="ok", last_check_in_at=timezone.now(),
        schedule={"schedule": {"type": "interval", "value": 10, "unit": "minute"}},
    )  # fmt: skip
    CheckIn.objects.create(heartbeat=made, check_in_id="a" * 32, status="ok", started_at=timezone.now())
    return made


def visit(person, path):
    client = Client()
    client.force_login(person)
    return client.get(path)


@pytest.mark.parametrize("path", ["/admin/health/heartbeat/", "/admin/health/checkin/"])
def test_a_viewer_sees_jobs_and_runs_as_text(job, path):
    answer = visit(make_person("alice", "Viewer"), path)
    assert answer.status_code == 200
    assert EVIL not in answer.content.decode() and "nightly" in answer.content.decode()


def test_a_schedule_is_told_in_words(job):
    alice = make_person("alice", "Viewer")
    assert b"every 10 minute" in visit(alice, "/admin/health/heartbeat/").content
    Heartbeat.objects.update(
        schedule={"schedule": {"type": "crontab", "value": "0 3 * * *"}, "timezone": "Europe/Rome"}
    )
    assert b"0 3 * * * Europe/Rome" in visit(alice, "/admin/health/heartbeat/").content
    Heartbeat.objects.update(schedule={})
    assert visit(alice, f"/admin/health/heartbeat/{job.pk}/change/").status_code == 200


def test_nobody_changes_them(job):
    root = make_person("carol", is_superuser=True)
    for path in ("heartbeat/add/", f"heartbeat/{job.pk}/delete/", "checkin/add/"):
        assert visit(root, f"/admin/health/{path}").status_code == 403


def test_who_has_no_role_sees_nothing(job):
    assert visit(make_person("mallory"), "/admin/health/heartbeat/").status_code == 403
