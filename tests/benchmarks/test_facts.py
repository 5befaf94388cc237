"""The facts that the page benchmark fills a project with: whatever made them, the counters say what the rows say."""

import random
from datetime import timedelta

import pytest
from django.db.models import Count, F, Sum
from django.utils import timezone

from apps.errors.models import (
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
from apps.projects.services import create_project
from apps.telemetry.models import RequestDay, RequestHour, TrackedHour
from benchmarks import decode
from benchmarks.lab import facts

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled(monkeypatch):
    """400 events in 40 groups: 100 by the service, the rest by the database."""
    monkeypatch.setattr(facts, "BY_SERVICE", 100)
    rnd = random.Random(1)
    models = [{"header": {}, "event": decode.make_event(rnd, timezone.now())} for _ in range(20)]
    found = facts.Facts(create_project(name="Shop"), models, timezone.now())
    found.fill(200)
    found.fill(400)
    return found


def summed(model):
    return model.objects.aggregate(n=Sum("n"))["n"]


def test_there_are_as_many_events_and_groups_as_asked_for(filled):
    assert (filled.events, filled.groups) == (400, 40)
    assert ErrorEvent.objects.count() == 400
    assert ErrorGroup.objects.count() == 40


def test_every_counter_says_what_the_rows_say(filled):
    assert ErrorGroup.objects.aggregate(n=Sum("event_count"))["n"] == 400
    for model in (ErrorMinute, ErrorHour, EndpointMinute, EndpointHour, GroupHour, GroupDay):
        assert summed(model) == 400, model
    for key in ("tenant", "region", "plan"):
        assert GroupTag.objects.filter(key=key).aggregate(n=Sum("n"))["n"] == 400


def test_every_group_says_what_its_events_say(filled):
    for group in ErrorGroup.objects.all():
        events = ErrorEvent.objects.filter(group=group)
        last = events.order_by("-occurred_at").first()
        assert group.event_count == events.count()
        assert group.user_count == events.values("user_hash").distinct().count()
        assert group.user_count == GroupUser.objects.filter(group=group).count()
        assert (group.last_seen, group.last_event_id) == (last.occurred_at, last.pk)
        assert group.first_seen == events.earliest("occurred_at").occurred_at


def test_users_are_counted_by_day_as_the_rows_have_them(filled):
    rows = ErrorEvent.objects.values_list("occurred_at__date", "component_id", "user_hash")
    hit = {(day, component, user[:32]) for day, component, user in rows}
    found = HitUserDay.objects.values_list("day", "component_id", "user_key")
    assert {(day, component, key.hex) for day, component, key in found} == hit


def test_traffic_fills_the_hours_of_the_same_month(filled):
    filled.add_traffic()
    assert RequestHour.objects.values("hour").distinct().count() >= facts.DAYS * 24
    assert RequestDay.objects.values("day").distinct().count() >= facts.DAYS
    assert TrackedHour.objects.exists()


def test_events_lie_in_the_partitions_of_their_days_over_the_last_month(filled):
    oldest = filled.now - timedelta(days=facts.DAYS)
    assert not ErrorEvent.objects.filter(occurred_at__lt=oldest).exists()
    assert not ErrorEvent.objects.filter(occurred_at__gt=filled.now).exists()
    days = ErrorEvent.objects.values("occurred_at__date").annotate(n=Count("id"))
    assert len(days) >= facts.DAYS
    assert ErrorEvent.objects.exclude(received_at=F("occurred_at")).count() == 0


def test_the_first_groups_have_most_of_the_events(filled):
    counts = list(ErrorGroup.objects.order_by("pk").values_list("event_count", flat=True))
    assert sum(counts[:10]) > sum(counts[10:])
    assert facts.busiest().event_count == max(counts)


@pytest.mark.parametrize(
    ("events", "groups"), [(5, 1), (10_000, 1_000), (100_000, 10_000), (10_000_000, 10_000)]
)
def test_groups_grow_with_the_events_up_to_ten_thousand(events, groups):
    assert facts.groups_for(events) == groups


def test_the_size_on_disk_counts_partitions(filled):
    assert facts.bytes_on_disk() > 400 * 500
