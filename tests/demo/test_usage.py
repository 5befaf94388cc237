"""What the story's application does: believable at the width that pages read, and counted once."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from apps.errors.models import ErrorEvent
from apps.projects.models import Component
from apps.telemetry import histogram, queries
from apps.telemetry.models import (
    ActiveUserDay,
    RequestDay,
    RequestHour,
    RequestMinute,
    SessionHour,
    TrackedEvent,
    TrackedHour,
    TrackedUserDay,
)
from reliability_portal.demo import doings, story
from tests.demo.test_demo import NOW, told

__all__ = ["told"]
DAY = timedelta(days=1)


def total(rows, column="n"):
    return rows.aggregate(n=Sum(column))["n"] or 0


def test_minutes_hours_and_days_tell_the_same(told):
    for day in (NOW.date(), (NOW - 3 * DAY).date()):
        hours, days = RequestHour.objects.filter(hour__date=day), RequestDay.objects.filter(day=day)
        for column in ("n", "failed", "timed"):
            assert total(hours, column) == total(days, column) > 0
    hour = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    minutes = RequestMinute.objects.filter(minute__gte=hour, minute__lt=hour + timedelta(hours=1))
    assert total(minutes) == total(RequestHour.objects.filter(hour=hour))


def test_every_histogram_holds_as_many_durations_as_its_row_says(told):
    for model in (RequestMinute, RequestHour, RequestDay):
        for row in model.objects.all()[:300]:
            assert sum(row.durations.values()) == row.timed == row.n >= row.failed


def test_there_is_a_month_of_every_endpoint_and_days_are_busier_than_nights(told):
    for endpoint in doings.ENDPOINTS:
        assert RequestDay.objects.filter(endpoint=endpoint.name).values("day").distinct().count() >= 30
    by_hour = {h: total(RequestHour.objects.filter(hour__hour=h)) for h in (3, 13)}
    assert by_hour[13] > 1.5 * by_hour[3]


def test_payments_are_failing_now_and_the_rest_is_well(told):
    (found,) = queries.failures([NOW - timedelta(minutes=5)])
    shares = {c.name: found[c.pk].failed_percent for c in Component.objects.all() if c.pk in found}
    assert shares["Payments"] > 15
    assert shares["Authentication"] < 10
    (worst,) = queries.worst_endpoints([NOW - timedelta(minutes=5)], 1)
    assert worst[Component.objects.get(name="Payments").pk].endpoint == "POST /api/payments/checkout"


def test_percentiles_of_a_week_are_near_what_the_endpoint_is_like(told):
    endpoint = next(e for e in doings.ENDPOINTS if e.name == "GET /api/feed")
    rows = RequestDay.objects.filter(endpoint=endpoint.name, day__gt=(NOW - 7 * DAY).date())
    merged = histogram.merged(histogram.from_json(row.durations) for row in rows)
    p50, p99 = histogram.percentiles(merged, (0.5, 0.99))
    assert p50 == pytest.approx(endpoint.median_ms, rel=0.15)
    assert 2 * p50 < p99 < 6 * p50


def test_some_features_were_used_by_many_and_one_by_nobody_for_a_week(told):
    week = TrackedHour.objects.filter(name="feature_used", hour__gte=NOW - 7 * DAY)
    used = set(week.values_list("subject", flat=True))
    ever = set(TrackedHour.objects.filter(name="feature_used").values_list("subject", flat=True))
    assert ever == {feature[0] for feature in doings.FEATURES}
    assert ever - used == {"voice note", "print"}
    users = TrackedUserDay.objects.filter(
        name="feature_used", subject="write entry", last_hour__gte=NOW - 7 * DAY
    )
    assert users.values("user_key").distinct().count() > 100


def test_trials_caches_and_ai_failures_have_their_outcomes(told):
    def outcomes(name):
        return set(TrackedHour.objects.filter(name=name).values_list("outcome", flat=True))

    assert outcomes("trial_conversion") == {"converted", "expired"}
    assert outcomes("cache_performance") == {"hit", "miss"}
    assert outcomes("ai_failure") == {"fallback", "none"}
    assert {n[0] for n in doings.NUISANCES} <= set(TrackedHour.objects.values_list("name", flat=True))


def test_single_events_are_of_the_last_day_and_counted_in_their_hours(told):
    events = TrackedEvent.objects.all()
    assert 300 < events.count() < 3000
    assert set(events.values_list("backfilled", flat=True)) == {True}
    for event in events[:20]:
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        assert NOW - DAY <= event.occurred_at <= NOW
        assert TrackedHour.objects.filter(name=event.name, hour=hour, component=event.component).exists()


def test_sessions_are_nearly_all_free_of_crashes(told):
    rows = SessionHour.objects.all()
    crashed = total(rows, "crashed")
    everything = sum(total(rows, column) for column in ("healthy", "errored", "abnormal", "crashed"))
    assert 0 < crashed / everything < 0.03
    assert set(rows.values_list("release", flat=True)) <= set(story.RELEASES)


def test_whoever_met_an_error_was_active(told):
    start = NOW.replace(minute=0, second=0, microsecond=0) - DAY
    hit = set(
        ErrorEvent.objects.filter(occurred_at__gte=start)
        .exclude(user_hash="")
        .values_list("user_hash", flat=True)
    )
    active = {
        u.hex for u in ActiveUserDay.objects.filter(last_hour__gte=start).values_list("user_key", flat=True)
    }
    assert {user[:32] for user in hit} <= active
    assert len(active) > 2 * len(hit) > 0
