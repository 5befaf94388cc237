"""Reports of jobs in the database: once each, in any order, from several drains at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.health import services
from apps.health.check_ins import from_sentry
from apps.health.models import CheckIn, Heartbeat
from apps.projects.intake import Intake
from apps.projects.services import create_project
from tests.at_once import at_once

pytestmark = pytest.mark.django_db
NOW = timezone.now()
CRON = {"schedule": {"type": "crontab", "value": "0 3 * * *"}}


def minutes(n):
    return NOW + timedelta(minutes=n)


def make_report(project, status="ok", *, at=NOW, run="a" * 32, slug="nightly", **facts):
    intake = Intake(project_id=project.pk, received_at=at, hash_key=b"k", event_id="e" * 32)
    return from_sentry({"monitor_slug": slug, "check_in_id": run, "status": status, **facts}, intake)


def store(*reports):
    """How many told something new, and how many were beyond what a project may have."""
    done = services.store_check_ins(check_ins=reports)
    return done.fresh.total(), done.over_limit.total()


def test_a_job_is_made_by_its_first_report_with_the_schedule_that_it_sends():
    project = create_project(name="Shop")
    assert store(make_report(project, "in_progress", monitor_config=CRON)) == (1, 0)
    job = Heartbeat.objects.get()
    assert (job.slug, job.environment, job.last_status, job.last_ok_at) == (
        "nightly", "production", "in_progress", None)  # fmt: skip
    assert job.schedule == CRON and job.last_check_in_at == NOW
    assert AuditEvent.objects.filter(action="heartbeat.create").count() == 1


def test_a_later_report_ends_the_run_and_an_older_word_changes_nothing():
    project = create_project(name="Shop")
    started, ended = make_report(project, "in_progress"), make_report(project, at=minutes(2))
    assert store(started) == (1, 0)
    assert store(ended) == (1, 0)
    assert store(started, ended) == (0, 0)
    run = CheckIn.objects.get()
    assert (run.status, run.started_at, run.finished_at, run.duration_s) == ("ok", NOW, minutes(2), 120)
    job = Heartbeat.objects.get()
    assert (job.last_status, job.last_check_in_at, job.last_ok_at) == ("ok", minutes(2), minutes(2))


def test_both_reports_of_a_run_in_one_batch_count_as_two():
    project = create_project(name="Shop")
    assert store(make_report(project, "in_progress"), make_report(project, at=minutes(1))) == (2, 0)
    assert CheckIn.objects.get().duration_s == 60


def test_an_older_report_that_comes_late_does_not_speak_for_the_job():
    project = create_project(name="Shop")
    store(make_report(project, "error", at=minutes(60), run="b" * 32, monitor_config=CRON))
    store(make_report(project, "ok", run="a" * 32, monitor_config={"max_runtime": 1}))
    job = Heartbeat.objects.get()
    assert (job.last_status, job.last_check_in_at, job.last_ok_at) == ("error", minutes(60), NOW)
    assert job.schedule == CRON and CheckIn.objects.count() == 2


def test_a_report_without_a_schedule_leaves_the_one_that_is_known():
    project = create_project(name="Shop")
    store(make_report(project, monitor_config=CRON))
    store(make_report(project, at=minutes(5), run="b" * 32))
    assert Heartbeat.objects.get().schedule == CRON


@pytest.mark.parametrize("together", [True, False])
def test_a_schedule_that_comes_after_the_end_of_its_run_is_known_all_the_same(together):
    project = create_project(name="Shop")
    ended, started = (
        make_report(project),
        make_report(project, "in_progress", at=minutes(1), monitor_config=CRON),
    )
    for reports in [[ended, started]] if together else [[ended], [started]]:
        store(*reports)
    job = Heartbeat.objects.get()
    assert (job.schedule, job.last_status, job.last_check_in_at) == (CRON, "ok", NOW)


def test_environments_and_projects_have_jobs_of_their_own():
    shop, blog = create_project(name="Shop"), create_project(name="Blog")
    store(make_report(shop), make_report(shop, environment="staging"), make_report(blog))
    assert Heartbeat.objects.count() == 3 and CheckIn.objects.count() == 3


def test_a_project_has_so_many_jobs_and_no_more(monkeypatch):
    monkeypatch.setattr(services, "MOST_HEARTBEATS", 2)
    project = create_project(name="Shop")
    assert store(*[make_report(project, slug=f"job{n}") for n in range(4)]) == (2, 2)
    assert store(make_report(project, slug="job9"), make_report(project, slug="job0", run="c" * 32)) == (1, 1)
    assert sorted(Heartbeat.objects.values_list("slug", flat=True)) == ["job0", "job1"]


def test_runs_are_forgotten_after_a_month():
    project = create_project(name="Shop")
    store(make_report(project, at=NOW - timedelta(days=31)), make_report(project, run="b" * 32))
    assert services.forget_check_ins(now=NOW) == 1
    assert CheckIn.objects.get().check_in_id == "b" * 32
    assert Heartbeat.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_drains_at_once_agree_on_jobs_and_runs():
    project = create_project(name="Shop")
    started = [make_report(project, "in_progress", slug=f"job{n}") for n in range(8)]
    ended = [make_report(project, at=minutes(1), slug=f"job{n}") for n in range(8)]

    def drain(n):
        return store(*(started if n % 2 else list(reversed(ended))))[0]

    # Two for each run: a start that comes after its end still tells when it began.
    assert sum(at_once(6, drain)) == 16
    assert CheckIn.objects.count() == Heartbeat.objects.count() == 8
    assert set(CheckIn.objects.values_list("status", "duration_s")) == {("ok", 60.0)}
    assert AuditEvent.objects.filter(action="heartbeat.create").count() == 8
