"""Check-ins on their way from an envelope to the room of health."""

import pytest

from apps.health import services
from apps.health.models import CheckIn, Heartbeat
from apps.ingest.models import SetAside
from tests.ingest.items import arrive, counts
from tests.ingest.wsgi import make_project

pytestmark = pytest.mark.django_db


def check_in(status="ok", run="a" * 32, **facts):
    return {"type": "check_in"}, {"monitor_slug": "nightly", "check_in_id": run, "status": status, **facts}


def test_a_run_is_stored_once_however_often_its_reports_come():
    project = make_project()
    for _ in range(3):
        arrive(project, check_in("in_progress"))
    for _ in range(2):
        arrive(project, check_in("ok"))
    assert CheckIn.objects.get().status == "ok" and Heartbeat.objects.get().last_status == "ok"
    assert counts() == {("check_in", "stored"): 2, ("check_in", "duplicate"): 3}


def test_what_is_wrong_is_set_aside_and_its_neighbours_are_stored():
    arrive(make_project(), check_in("maybe"), check_in(), check_in(run="../../x"))
    assert sorted(SetAside.objects.values_list("kind", "field")) == [
        ("check_in", "check_in_id"), ("check_in", "status")]  # fmt: skip
    assert counts() == {("check_in", "stored"): 1, ("check_in", "set_aside"): 2}


def test_jobs_beyond_what_a_project_may_have_are_counted(monkeypatch):
    monkeypatch.setattr(services, "MOST_HEARTBEATS", 1)
    arrive(make_project(), check_in(), check_in(monitor_slug="other"), check_in(monitor_slug="third"))
    assert counts() == {("check_in", "stored"): 1, ("check_in", "over_limit"): 2}
