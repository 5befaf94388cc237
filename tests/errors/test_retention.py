"""What is kept no longer goes, by project, in small steps, once; the figures stay."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from apps.audit.models import AuditEvent
from apps.core import partitions
from apps.core.models import PartitionedTable
from apps.core.ticks import run
from apps.errors import retention
from apps.errors.models import (
    EndpointDay,
    EndpointHour,
    EndpointMinute,
    ErrorEvent,
    ErrorGroup,
    ErrorHour,
    ErrorMinute,
    GroupDay,
    GroupHour,
    GroupTag,
    GroupUser,
    HitUserDay,
)
from apps.errors.storing import store_batch
from apps.projects import retention as project_retention
from apps.projects.models import RetentionDay, RetentionMark
from reliability_portal.celery import TICKS  # noqa: F401 - fills the table of ticks
from tests.errors.make import NOW, make_event, make_project
from tests.people import make_person

pytestmark = pytest.mark.django_db
DAY_S = 86_400
DAY = timedelta(days=1)


def make_kept_project(days: int | None, name: str = "Shop"):
    project = make_project(name)
    project.error_retention_days = days
    project.save()
    return project


def store(project, ages: range, first: int = 0, **facts) -> None:
    """One event a day of age."""
    store_batch(events=[make_event(project, first + a, age_s=a * DAY_S, route="/pay", **facts) for a in ages])


def kept_ages(project) -> list[int]:
    ids = ErrorEvent.objects.filter(project=project).values_list("occurred_at", flat=True)
    return sorted((NOW - at).days for at in ids)


def test_only_days_that_lie_wholly_before_the_limit_are_deleted_and_only_of_that_project():
    short, default = make_kept_project(7), make_kept_project(None, "Desk")
    store(short, range(20))
    store(default, range(20), first=100)
    assert retention.retain(NOW).said.startswith("12 events")
    assert kept_ages(short) == list(range(8))
    assert kept_ages(default) == list(range(20))


def test_groups_and_every_counter_stay_as_they_were():
    project = make_kept_project(3)
    store(project, range(5, 10), who="carol", tags={"browser": "Firefox"})
    counted = [m.objects.count() for m in (ErrorMinute, EndpointMinute, GroupHour, GroupUser, GroupTag)]
    retention.retain(NOW)
    assert ErrorEvent.objects.count() == 0
    group = ErrorGroup.objects.get()
    assert (group.event_count, group.user_count) == (5, 1)
    assert counted == [
        m.objects.count() for m in (ErrorMinute, EndpointMinute, GroupHour, GroupUser, GroupTag)
    ]


def test_a_second_run_finds_the_days_done_and_asks_for_none_of_them_again(monkeypatch):
    project = make_kept_project(7)
    store(project, range(20))
    retention.retain(NOW)
    asked = []
    monkeypatch.setattr(
        retention, "delete_events", lambda project_id, start, end, limit: asked.append(start) or 0
    )
    retention.retain(NOW)
    assert asked == []
    retention.retain(NOW + DAY)
    assert asked == [project_retention.midnight(NOW) - 7 * DAY]


def test_rows_that_come_late_into_a_day_that_was_done_go_as_well():
    project = make_kept_project(1)
    store(project, range(4))
    retention.retain(NOW)
    assert kept_ages(project) == [0, 1]
    store(project, range(2, 4), first=50)
    retention.retain(NOW)
    assert kept_ages(project) == [0, 1]


def test_a_statement_deletes_so_many_and_a_run_has_an_end_and_says_what_waits(monkeypatch):
    monkeypatch.setattr(project_retention, "BATCH_ROWS", 4)
    monkeypatch.setattr(project_retention, "MOST_STATEMENTS", 3)
    project = make_kept_project(2)
    store_batch(events=[make_event(project, n, age_s=6 * DAY_S + n) for n in range(10)])
    store_batch(events=[make_event(project, n, age_s=5 * DAY_S + n) for n in range(20, 30)])
    first = retention.retain(NOW)
    assert first.said.startswith("10 events")
    assert first.backlog == 3  # of the days five, four and three days ago
    assert first.oldest_at == project_retention.midnight(NOW - 5 * DAY - timedelta(seconds=20))
    assert ErrorEvent.objects.count() == 10
    assert retention.retain(NOW).said.startswith("10 events")


def test_a_day_that_was_left_half_done_is_gone_on_with(monkeypatch):
    monkeypatch.setattr(project_retention, "BATCH_ROWS", 4)
    monkeypatch.setattr(project_retention, "MOST_STATEMENTS", 2)
    project = make_kept_project(2)
    store_batch(events=[make_event(project, n, age_s=6 * DAY_S + n) for n in range(10)])
    retention.retain(NOW)
    assert not RetentionMark.objects.filter(done_until__gt=NOW - 6 * DAY).exists()
    retention.retain(NOW)
    assert ErrorEvent.objects.count() == 0


def test_a_project_that_wants_less_later_loses_what_is_between():
    project = make_kept_project(10)
    store(project, range(20))
    retention.retain(NOW)
    project.error_retention_days = 5
    project.save()
    retention.retain(NOW)
    assert kept_ages(project) == list(range(6))


def test_the_installations_own_days_hold_for_the_rest_while_one_project_keeps_more(settings):
    settings.ERROR_RETENTION_DAYS = 5
    patient, rest = make_kept_project(300), make_kept_project(None, "Desk")
    store(patient, range(20))
    store(rest, range(20), first=100)
    partitions.keep_up(NOW)
    retention.retain(NOW)
    assert kept_ages(rest) == list(range(6))
    assert kept_ages(patient) == list(range(20))


def test_partitions_live_as_long_as_the_most_patient_project_wants_from_the_next_tick_on():
    days = partitions.registry[retention.EVENTS].keep_days
    long_ago = NOW - (days + 20) * DAY
    partitions.ensure(retention.EVENTS, long_ago, long_ago + DAY)
    make_kept_project(days + 30)
    assert partitions.keep_up(NOW).said.endswith("0 dropped")
    assert PartitionedTable.objects.get(name=retention.EVENTS).keep_days == days + 30


def test_a_project_that_keeps_less_shortens_nothing_for_the_others():
    make_kept_project(1)
    days = partitions.registry[retention.EVENTS].keep_days
    partitions.keep_up(NOW)
    assert PartitionedTable.objects.get(name=retention.EVENTS).keep_days == days


@pytest.mark.parametrize("days", [-1, 0, 1, 99, 3651])
def test_the_application_can_lengthen_within_ten_years_and_never_shorten(days):
    assert partitions.keep_longer(retention.EVENTS, days) is False
    assert PartitionedTable.objects.get(name=retention.EVENTS).keep_days == 100


@pytest.mark.parametrize("table", ["audit_auditevent", "auth_user"])
def test_what_is_kept_for_ever_or_not_listed_cannot_be_given_an_end(table):
    assert partitions.keep_longer(table, 3000) is False


def test_the_days_of_a_table_are_still_no_setting_of_the_application():
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE core_partitionedtable SET keep_days = 4000")


def test_each_day_of_deleting_is_one_entry_of_the_audit_log_with_the_sum_by_project():
    store(make_kept_project(3), range(10))
    store(make_kept_project(5, "Desk"), range(10), first=100)
    retention.retain(NOW)
    assert not AuditEvent.objects.filter(action="retention.delete").exists()
    for _ in range(2):
        retention.retain(NOW + DAY)
    event = AuditEvent.objects.get(action="retention.delete")
    assert event.resource_id == NOW.date().isoformat()
    assert event.details == {"rows": {retention.EVENTS: {"Desk": 4, "Shop": 6}}}
    retention.retain(NOW + 2 * DAY)
    assert AuditEvent.objects.filter(action="retention.delete").count() == 2
    assert RetentionDay.objects.count() == 6


def test_counters_go_when_their_width_is_kept_no_longer(settings):
    settings.ROLLUP_MINUTE_RETENTION_DAYS, settings.ROLLUP_HOUR_RETENTION_DAYS = 10, 40
    project = make_project()
    store(project, range(60), who="carol", tags={"browser": "Firefox"})
    store(project, range(50, 60), first=100, kind="OldError", who="bob", tags={"browser": "Opera"})
    retention.retain(NOW)
    assert ErrorMinute.objects.count() == EndpointMinute.objects.count() == 10
    assert GroupHour.objects.count() == ErrorHour.objects.count() == EndpointHour.objects.count() == 40
    assert [m.objects.count() for m in (EndpointDay, GroupDay, HitUserDay)] == [40, 40, 40]
    assert GroupUser.objects.count() == 1
    assert GroupTag.objects.get().value == "Firefox"
    assert ErrorGroup.objects.count() == 2


def test_counters_are_deleted_in_statements_of_so_many(settings, monkeypatch):
    monkeypatch.setattr(project_retention, "BATCH_ROWS", 7)
    settings.ROLLUP_MINUTE_RETENTION_DAYS = 10
    store(make_project(), range(60))
    retention.retain(NOW)
    assert ErrorMinute.objects.count() == 10


def test_the_tick_of_the_table_runs_it():
    store(make_kept_project(3), range(10))
    assert run("errors.retain").report.said.startswith("6 events")


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_number_of_days_that_makes_no_sense_is_refused(days):
    project = make_project()
    project.error_retention_days = days
    with pytest.raises(ValidationError, match="equal to"):
        project.full_clean()


def test_a_group_whose_events_are_all_gone_says_after_how_many_days():
    project = make_kept_project(3)
    store(project, range(5, 10))
    retention.retain(NOW)
    client = Client()
    client.force_login(make_person("alice", "Viewer"))
    page = client.get(f"/admin/errors/errorgroup/{ErrorGroup.objects.get().pk}/change/").content.decode()
    assert "Events dropped after 3 days" in page
    assert "No event is kept" not in page


def test_a_changed_number_of_days_is_in_the_audit_log_with_before_and_after():
    project = make_project()
    client = Client()
    client.force_login(make_person("alice", "Admin"))
    sent = {
        "name": "Shop", "slug": "shop", "error_retention_days": "30", "keys-TOTAL_FORMS": "0",
        "keys-INITIAL_FORMS": "0",
    }  # fmt: skip
    assert client.post(f"/admin/projects/project/{project.pk}/change/", sent).status_code == 302
    event = AuditEvent.objects.get(action="project.update")
    assert event.changes["error_retention_days"] == [None, 30]
