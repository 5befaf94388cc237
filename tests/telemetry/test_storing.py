"""Counters are exactly what was reported, whatever came in which order, how often, and how many drains wrote it."""

import random
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase as HypothesisCase
from psycopg.types.json import Jsonb

from apps.projects.models import Component
from apps.telemetry import count_requests, count_tracked, histogram
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
from apps.telemetry.reported import ActiveUser
from apps.telemetry.storing import store_batch
from tests.fuzz import MOST
from tests.telemetry.make import NOW, make_counts, make_project, make_request, make_tracked, make_update, user

HOUR = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def project(db):
    return make_project()


def session_totals():
    fields = ("healthy", "errored", "abnormal", "crashed")
    totals = Counter()
    for row in SessionHour.objects.values(*fields):
        totals.update(row)
    return {name: totals[name] for name in fields}


# --- Requests -----------------------------------------------------------------------------------------------------
def test_a_request_is_counted_by_minute_hour_and_day(project):
    store_batch(
        requests=[
            make_request(project.pk, duration_ms=100.0),
            make_request(project.pk, duration_ms=300.0, failed=True),
            make_request(project.pk, duration_ms=None, failed=None),
            make_request(project.pk, at=NOW - timedelta(minutes=5)),
        ]
    )
    minute = RequestMinute.objects.get(minute=NOW.replace(second=0))
    assert (minute.n, minute.failed, minute.timed) == (2, 1, 2)
    assert (minute.duration_sum_ms, minute.duration_max_ms) == (400.0, 300.0)
    assert minute.durations == histogram.as_json(histogram.counted([100, 300]))
    assert minute.component == Component.objects.get(name="API Services")
    hour, day = RequestHour.objects.get(), RequestDay.objects.get()
    assert (hour.hour, hour.n, hour.failed, hour.timed) == (HOUR, 3, 1, 3)
    assert (day.day, day.n, day.failed, day.durations) == (NOW.date(), 3, 1, hour.durations)


def test_the_database_merges_histograms_as_the_program_does(project):
    dice = random.Random(5)
    durations = [dice.lognormvariate(4, 1.5) for _ in range(300)]
    for start in range(0, 300, 50):
        part = [make_request(project.pk, duration_ms=d) for d in durations[start : start + 50]]
        store_batch(requests=part)
    row = RequestDay.objects.get()
    assert histogram.from_json(row.durations) == histogram.counted(durations)
    exact = sorted(durations)[int(0.95 * 299)]
    assert histogram.percentile(histogram.from_json(row.durations), 0.95) == pytest.approx(exact, rel=0.02)


merge_parts = st.dictionaries(st.integers(-172, 457), st.integers(1, 10**9), max_size=12)


@pytest.mark.django_db
class TestMergeInSql(HypothesisCase):
    @settings(max_examples=min(MOST, 100), deadline=None)
    @given(merge_parts, merge_parts)
    def test_merging_in_the_database_is_adding(self, a, b):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT telemetry_merge(%s, %s)", [Jsonb(histogram.as_json(a)), Jsonb(histogram.as_json(b))]
            )
            assert histogram.from_json(orjson.loads(cursor.fetchone()[0])) == histogram.merged([a, b])


def test_a_retried_transaction_is_counted_once(project):
    request = make_request(project.pk)
    first = store_batch(requests=[request, request])
    again = store_batch(requests=[request])
    assert (sum(first.requests.values()), sum(again.requests.values())) == (1, 0)
    assert RequestDay.objects.get().n == 1


def test_a_retry_of_one_without_a_usable_time_is_known_past_midnight_too(project):
    late = NOW.replace(hour=23, minute=59)
    request = make_request(project.pk, at=late, time_is_usable=False)
    again = make_request(
        project.pk, at=late + timedelta(minutes=2), time_is_usable=False, event_id=request.event_id
    )
    store_batch(requests=[request])
    store_batch(requests=[again])
    assert sum(RequestDay.objects.values_list("n", flat=True)) == 1
    assert SeenReport.objects.count() == 1


def test_the_same_id_in_two_projects_is_two_transactions(project):
    other = make_project("Other")
    one = make_request(project.pk)
    store_batch(requests=[one, make_request(other.pk, event_id=one.event_id)])
    assert RequestDay.objects.count() == 2


def test_beyond_so_many_endpoints_a_span_counts_the_rest_together_and_loses_none(project):
    n = count_requests.MINUTES.most + 30
    known = make_request(project.pk, "/known")
    store_batch(requests=[known])
    store_batch(requests=[make_request(project.pk, f"/{i:04}") for i in range(n)])
    store_batch(requests=[make_request(project.pk, "/known"), make_request(project.pk, "/late")])
    minutes = dict(RequestMinute.objects.values_list("endpoint", "n"))
    assert sum(minutes.values()) == n + 3
    assert len(minutes) == count_requests.MINUTES.most + 1
    assert minutes["/known"] == 2
    assert minutes["(other)"] == n + 3 - 2 - (count_requests.MINUTES.most - 1)
    assert "(other)" not in RequestDay.objects.values_list("endpoint", flat=True)


def test_many_devices_and_components_of_one_endpoint_are_one_endpoint(project):
    for device in ("mobile", "desktop", "unknown"):
        store_batch(requests=[make_request(project.pk, device=device)])
    assert RequestMinute.objects.count() == 3
    assert set(RequestMinute.objects.values_list("n", flat=True)) == {1}


# --- Tracked events -----------------------------------------------------------------------------------------------
def test_a_tracked_event_has_a_row_and_is_counted_by_hour(project):
    event = make_tracked(
        project.pk, subject="export", duration_ms=1500.0, user_hash=user("17"), data={"a": 1}
    )
    store_batch(tracked=[event])
    row = TrackedEvent.objects.get()
    assert (row.name, row.duration_ms, row.user_hash, row.data) == (
        "feature_used",
        1500.0,
        user("17").hex(),
        {"a": 1},
    )
    hour = TrackedHour.objects.get()
    assert (hour.hour, hour.name, hour.subject, hour.n, hour.timed) == (HOUR, "feature_used", "export", 1, 1)
    assert (hour.duration_sum_ms, hour.durations) == (1500.0, histogram.as_json(histogram.counted([1500])))
    deed = TrackedUserDay.objects.get()
    assert (deed.day, deed.subject, deed.last_hour, deed.user_key.bytes) == (
        NOW.date(), "export", HOUR, user("17")[:16],
    )  # fmt: skip


def test_a_retried_tracked_event_is_counted_once_with_and_without_a_time(project):
    timely = make_tracked(project.pk)
    timeless = make_tracked(project.pk, time_is_usable=False)
    later = make_tracked(
        project.pk, at=NOW + timedelta(seconds=3), time_is_usable=False, event_id=timeless.event_id
    )
    store_batch(tracked=[timely, timeless])
    again = store_batch(tracked=[timely, later])
    assert sum(again.tracked.values()) == 0
    assert TrackedEvent.objects.count() == TrackedHour.objects.get().n == 2


def test_failures_are_counted_by_the_minute_for_rules(project):
    store_batch(
        tracked=[
            make_tracked(project.pk, "db_pool_error", severity="Critical"),
            make_tracked(project.pk, "db_pool_error", severity="Critical", at=NOW - timedelta(minutes=1)),
            make_tracked(project.pk, "feature_used"),
        ]
    )
    assert {(m.name, m.n) for m in TrackedMinute.objects.all()} == {("db_pool_error", 1)}
    assert TrackedMinute.objects.count() == 2


def test_response_times_that_applications_track_are_durations_of_their_endpoint(project):
    facts = {"subject": "/feed", "duration_ms": 80.0}
    store_batch(
        tracked=[
            make_tracked(project.pk, "api_response_time", **facts),
            make_tracked(project.pk, "api_response_time", **facts, status_code=200),
            make_tracked(project.pk, "api_response_time", **facts, status_code=503),
            make_tracked(project.pk, "slow_endpoint", **facts),
        ]
    )
    day = RequestDay.objects.get()
    assert (day.endpoint, day.kind, day.timed, day.n, day.failed) == ("/feed", "request", 3, 2, 1)


def test_beyond_so_many_subjects_and_names_an_hour_counts_the_rest_together_and_loses_none(
    project, monkeypatch
):
    monkeypatch.setattr(count_tracked, "MOST_OF_A_NAME", 5)
    monkeypatch.setattr(count_tracked, "MOST_NAMES", 4)
    features = [make_tracked(project.pk, subject=f"f{i}") for i in range(9)]
    names = [make_tracked(project.pk, f"name{i}", subject="s") for i in range(9)]
    store_batch(tracked=features)
    store_batch(tracked=names)
    store_batch(
        tracked=[
            make_tracked(project.pk, "slow_endpoint", subject="/x"),
            make_tracked(project.pk, "name0", subject="s"),
        ]
    )
    rows = {(h.name, h.subject): h.n for h in TrackedHour.objects.all()}
    assert sum(rows.values()) == 20
    assert rows["feature_used", "(other)"] == 4
    assert rows["(other)", ""] == 6
    assert rows["name0", "s"] == 2
    assert rows["slow_endpoint", "/x"] == 1


# --- Users --------------------------------------------------------------------------------------------------------
def test_whoever_is_heard_of_was_active_that_day_until_the_latest_hour(project):
    store_batch(
        tracked=[make_tracked(project.pk, user_hash=user("a"))],
        requests=[make_request(project.pk, user_hash=user("b")), make_request(project.pk)],
        updates=[make_update(project.pk, user_hash=user("c"))],
        counts=[make_counts(project.pk, user_hash=user("d"), healthy=1)],
        active=[ActiveUser(project.pk, NOW - timedelta(hours=2), user("e"))],
    )
    store_batch(tracked=[make_tracked(project.pk, at=NOW - timedelta(hours=3), user_hash=user("a"))])
    store_batch(tracked=[make_tracked(project.pk, at=NOW + timedelta(hours=1), user_hash=user("b"))])
    found = {a.user_key.bytes: a.last_hour for a in ActiveUserDay.objects.filter(day=NOW.date())}
    assert found == {
        user("a")[:16]: HOUR, user("b")[:16]: HOUR + timedelta(hours=1), user("c")[:16]: HOUR,
        user("d")[:16]: HOUR, user("e")[:16]: HOUR - timedelta(hours=2),
    }  # fmt: skip


# --- Sessions -----------------------------------------------------------------------------------------------------
def test_a_later_update_of_a_session_supersedes_an_earlier_one_in_whatever_order_they_come(project):
    steps = [("healthy", 0), ("errored", 1), ("crashed", 2)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 2, 0)):
        one = uuid4().hex
        for step in order:
            outcome, seq = steps[step]
            store_batch(updates=[make_update(project.pk, one, outcome=outcome, seq=seq)])
    assert session_totals() == {"healthy": 0, "errored": 0, "abnormal": 0, "crashed": 4}
    assert SessionState.objects.count() == 4


def test_several_updates_of_a_session_in_one_batch_count_as_the_last(project):
    one = uuid4().hex
    store_batch(
        updates=[
            make_update(project.pk, one, seq=2, outcome="abnormal"),
            make_update(project.pk, one, seq=0),
            make_update(project.pk, one, seq=1, outcome="errored"),
        ]
    )
    assert session_totals() == {"healthy": 0, "errored": 0, "abnormal": 1, "crashed": 0}


def test_of_two_updates_with_one_number_the_worse_counts(project):
    one = uuid4().hex
    store_batch(updates=[make_update(project.pk, one, outcome="crashed")])
    store_batch(updates=[make_update(project.pk, one, outcome="healthy")])
    assert session_totals()["crashed"] == 1


def test_what_a_server_counted_is_added_each_time_it_comes(project):
    counts = make_counts(project.pk, healthy=10, errored=2, crashed=1)
    store_batch(counts=[counts, counts])
    store_batch(counts=[counts])
    assert session_totals() == {"healthy": 30, "errored": 6, "abnormal": 0, "crashed": 3}


def test_sessions_are_told_apart_by_hour_release_and_environment(project):
    store_batch(
        updates=[
            make_update(project.pk),
            make_update(project.pk, release="2.0"),
            make_update(project.pk, environment="staging"),
            make_update(project.pk, at=NOW - timedelta(hours=1)),
        ]
    )
    assert SessionHour.objects.count() == 4


def test_users_of_sessions_remember_the_crash(project):
    store_batch(updates=[make_update(project.pk, user_hash=user("a"), outcome="crashed")])
    store_batch(
        updates=[make_update(project.pk, user_hash=user("a")), make_update(project.pk, user_hash=user("b"))]
    )
    assert SessionUserDay.objects.count() == 2
    assert SessionUserDay.objects.filter(crashed=True).get().user_key.bytes == user("a")[:16]


def test_beyond_so_many_releases_an_hour_counts_the_rest_together(project):
    store_batch(updates=[make_update(project.pk, release=f"r{i:04}") for i in range(230)])
    store_batch(updates=[make_update(project.pk, release="r0000"), make_update(project.pk, release="new")])
    rows = dict(SessionHour.objects.values_list("release", "healthy"))
    assert len(rows) == 201
    assert (rows["r0000"], rows["(other)"], sum(rows.values())) == (2, 31, 232)
