"""Counters go when their time is over, those of minutes first; rows by day go with their partitions."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from apps.core import partitions
from apps.core.models import PartitionedTable
from apps.core.ticks import run
from apps.telemetry import retention
from apps.telemetry.models import (
    ActiveUserDay,
    RequestDay,
    RequestHour,
    RequestMinute,
    SeenReport,
    SessionHour,
    SessionState,
    SessionUserDay,
    TrackedEvent,
    TrackedHour,
    TrackedMinute,
    TrackedUserDay,
)
from apps.telemetry.storing import store_batch
from reliability_portal.celery import TICKS  # noqa: F401 - fills the table of ticks
from tests.telemetry.make import NOW, make_project, make_request, make_tracked, make_update, user

pytestmark = pytest.mark.django_db
ROWS = {TrackedEvent, SeenReport, SessionState}
ROLLUPS = {
    RequestMinute, RequestHour, RequestDay, TrackedHour, TrackedMinute, TrackedUserDay, ActiveUserDay, SessionHour,
    SessionUserDay,
}  # fmt: skip


def store(project, age):
    """One of everything, so many days old."""
    at = NOW - timedelta(days=age)
    store_batch(
        tracked=[make_tracked(project.pk, "client_error", at, severity="Minor", user_hash=user("a"))],
        requests=[make_request(project.pk, at=at)],
        updates=[make_update(project.pk, at=at, user_hash=user("a"))],
    )


def ages(model):
    column = next(n for n in ("minute", "hour", "day") if any(f.name == n for f in model._meta.fields))
    values = model.objects.values_list(column, flat=True)
    return {(NOW.date() - (v.date() if column != "day" else v)).days for v in values}


def test_every_table_of_the_room_has_an_end():
    named = {
        table
        for group in (retention.REQUEST_MINUTES, retention.MINUTES, retention.HOURS)
        for table, _ in group
    }
    tables = {model._meta.db_table for model in apps.get_app_config("telemetry").get_models()}
    assert named == {model._meta.db_table for model in ROLLUPS}
    cut = set(PartitionedTable.objects.exclude(keep_days=None).values_list("name", flat=True))
    assert tables - named == {model._meta.db_table for model in ROWS} <= cut


def test_counters_stay_as_long_as_their_width_says():
    project = make_project()
    for age in (0, 13, 15, 99, 101, 729, 731):
        store(project, age)
    retention.retain(NOW)
    assert ages(RequestMinute) == {0, 13}
    assert ages(TrackedMinute) == {0, 13, 15, 99}
    for model in ROLLUPS - {RequestMinute, TrackedMinute}:
        assert ages(model) == {0, 13, 15, 99, 101, 729}, model
    assert retention.retain(NOW).said == "0 counters deleted"


@pytest.mark.parametrize("table", [*retention.REQUEST_MINUTES, *retention.MINUTES, *retention.HOURS])
def test_what_is_too_old_is_found_by_an_index(table):
    name, column = table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
            "WHERE i.indrelid = %s::regclass AND a.attname = %s",
            [name, column],
        )
        assert cursor.fetchone()[0] >= 1


def test_tracked_events_go_by_the_day_after_their_retention():
    assert partitions.registry["telemetry_trackedevent"].keep_days == settings.TRACKED_RETENTION_DAYS


def test_the_tick_runs():
    store(make_project(), 800)
    run("telemetry.retain")
    assert not RequestDay.objects.exists()
