"""Counters are exactly the rows, whatever came in which order, how often, and how many drains wrote it."""

import random
from collections import Counter
from datetime import timedelta
from importlib import import_module
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase as HypothesisCase

from apps.audit.models import AuditEvent
from apps.core import partitions
from apps.core.ids import millis, timestamp_of, uuid_floor
from apps.core.severity import RecordSeverity
from apps.errors import counting, services, storing, tasks
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
    SeenEvent,
)
from apps.errors.storing import store_batch
from apps.projects.models import Component
from tests.at_once import at_once
from tests.errors.make import NOW, make_event, make_project
from tests.fuzz import MOST
from tests.people import make_person


def hour_of(row: ErrorEvent):
    return row.occurred_at.replace(minute=0, second=0, microsecond=0)


def assert_long_counters_are(rows: list[ErrorEvent]):
    """Counters by hour and by day, against the rows."""
    hours = Counter((hour_of(r), r.component_id, r.severity) for r in rows)
    impacting = Counter((hour_of(r), r.component_id, r.severity) for r in rows if r.user_impact)
    found = {(h.hour, h.component_id, h.severity): h for h in ErrorHour.objects.all()}
    assert {key: h.n for key, h in found.items()} == hours
    assert {key: h.impacting for key, h in found.items() if h.impacting} == impacting
    endpoints = Counter((hour_of(r), r.component_id, r.endpoint) for r in rows if r.endpoint)
    assert {(e.hour, e.component_id, e.endpoint): e.n for e in EndpointHour.objects.all()} == endpoints
    by_day = Counter((r.occurred_at.date(), r.component_id, r.endpoint) for r in rows if r.endpoint)
    assert {(e.day, e.component_id, e.endpoint): e.n for e in EndpointDay.objects.all()} == by_day
    days = Counter((r.occurred_at.date(), r.group_id) for r in rows)
    assert {(d.day, d.group_id): d.n for d in GroupDay.objects.all()} == days
    last: dict = {}
    for r in (r for r in rows if r.user_hash):
        key = (r.occurred_at.date(), r.component_id, UUID(r.user_hash[:32]))
        last[key] = max(last.get(key, hour_of(r)), hour_of(r))
    assert {(u.day, u.component_id, u.user_key): u.last_hour for u in HitUserDay.objects.all()} == last


def assert_counters_are_the_rows():
    """Every counter, against a count of the events themselves."""
    rows = list(ErrorEvent.objects.all())
    assert {g.pk: g.event_count for g in ErrorGroup.objects.all()} == Counter(r.group_id for r in rows)
    for group in ErrorGroup.objects.all():
        own = [r for r in rows if r.group_id == group.pk]
        users = {r.user_hash for r in own if r.user_hash}
        assert group.user_count == len(users) == GroupUser.objects.filter(group=group).count()
        assert group.first_seen <= min(r.occurred_at for r in own)
        last = max(r.occurred_at for r in own)
        assert group.last_seen == last
        assert ErrorEvent.objects.get(pk=group.last_event_id).occurred_at == last
        hit = {u.user_hash: u.last_seen for u in GroupUser.objects.filter(group=group)}
        assert hit == {u: max(r.occurred_at for r in own if r.user_hash == u) for u in users}
    minutes = {(m.minute, m.component_id, m.severity): (m.n, m.impacting) for m in ErrorMinute.objects.all()}
    expected: dict = {}
    for r in rows:
        key = (r.occurred_at.replace(second=0, microsecond=0), r.component_id, r.severity)
        n, impacting = expected.get(key, (0, 0))
        expected[key] = (n + 1, impacting + r.user_impact)
    assert minutes == expected
    hours = Counter((r.group_id, r.occurred_at.replace(minute=0, second=0, microsecond=0)) for r in rows)
    assert {(h.group_id, h.hour): h.n for h in GroupHour.objects.all()} == hours
    endpoints = Counter(
        (r.occurred_at.replace(second=0, microsecond=0), r.component_id, r.endpoint)
        for r in rows
        if r.endpoint
    )
    found = {(e.minute, e.component_id, e.endpoint): e.n for e in EndpointMinute.objects.all()}
    assert found == endpoints
    assert_long_counters_are(rows)
    tags = Counter((r.group_id, k) for r in rows for k in r.tags)
    counted: Counter = Counter()
    for tag in GroupTag.objects.all():
        counted[tag.group_id, tag.key] += tag.n
    assert counted == tags


def make_mixed(project, dice: random.Random, count: int) -> list:
    """Events over a few groups, components, minutes, users, endpoints and tags; some without a usable time."""
    found = []
    for n in range(count):
        usable = dice.random() < 0.8
        found.append(
            make_event(
                project, n, kind=dice.choice("ABC"), who=dice.choice(["", "alice", "bob", "carol"]),
                age_s=dice.randrange(0, 7200) if usable else 0, time_is_usable=usable,
                component_name=dice.choice(["Journal", "Payments"]), severity=dice.choice(list(RecordSeverity)),
                user_impact=dice.random() < 0.5, route=dice.choice(["", "/pay", "/read"]),
                tags={k: dice.choice("xyz") for k in dice.sample(["os", "tenant", "release"], dice.randrange(4))},
            )
        )  # fmt: skip
    return found


class AnyOrder(HypothesisCase):
    """Batches cut, repeated and shuffled at random."""

    @settings(max_examples=max(MOST // 200, 20), deadline=None)
    @given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
    def test_counters_are_exact_after_any_order_repetition_and_splitting(self, seed, count):
        dice = random.Random(seed)
        events = make_mixed(make_project(), dice, count)
        sent = [e for e in events for _ in range(dice.choice([1, 1, 2, 3]))]
        dice.shuffle(sent)
        sent += dice.sample(events, dice.randrange(len(events) + 1))
        left, stored, duplicates = sent, 0, 0
        while left:
            size = dice.randrange(1, len(left) + 1)
            done = store_batch(events=left[:size])
            stored, duplicates, left = stored + done.stored, duplicates + done.duplicates, left[size:]
        assert (stored, duplicates) == (count, len(sent) - count)
        assert ErrorEvent.objects.count() == count
        assert_counters_are_the_rows()


@pytest.mark.django_db
def test_an_empty_batch_is_no_work():
    assert store_batch(events=[]).stored == 0


@pytest.mark.django_db
def test_a_row_holds_what_was_sent():
    project = make_project()
    event = make_event(
        project, 7, who="alice", route="/pay", release="shop@1.2", environment="live", device="mobile",
        tags={"os": "Linux"}, payload={"extra": {"a": [1, None, "\u20ac"]}}, source="client", user_impact=False,
        age_s=30,
    )  # fmt: skip
    assert store_batch(events=[event]).by_day == {(NOW.date(), project.pk): 1}
    row = ErrorEvent.objects.get()
    assert (row.event_id, row.project_id, row.component.name) == (event.event_id, project.pk, "Journal")
    assert (row.occurred_at, row.received_at) == (event.occurred_at, NOW)
    assert timestamp_of(row.id) == event.occurred_at
    assert (row.endpoint, row.release, row.environment) == ("/pay", "shop@1.2", "live")
    assert (row.device_type, row.source, row.user_impact) == ("mobile", "client", False)
    assert (row.tags, row.payload, row.user_hash) == (event.tags, event.payload, event.user_hash.hex())
    group = row.group
    assert (group.title, group.first_release, group.last_release) == (
        "KeyError: came up",
        "shop@1.2",
        "shop@1.2",
    )
    assert (group.severity, group.status, group.event_count) == ("Major", "unresolved", 1)


# --- Once ---
@pytest.mark.django_db
def test_an_event_that_comes_again_is_counted_once_with_and_without_a_usable_time():
    project = make_project()
    for usable in (True, False):
        event = make_event(project, int(usable), time_is_usable=usable, kind=str(usable))
        assert store_batch(events=[event, event]).stored == 1
        later = make_event(
            project, int(usable), time_is_usable=usable, kind=str(usable), received_at=NOW + timedelta(minutes=5),
            occurred_at=event.occurred_at if usable else NOW + timedelta(minutes=5),
        )  # fmt: skip
        again = store_batch(events=[later])
        assert (again.stored, again.duplicates) == (0, 1)
    assert_counters_are_the_rows()


@pytest.mark.django_db
def test_a_clock_that_is_ahead_does_not_count_its_retry_twice():
    """At first its time lay too far ahead to be used; when the retry came it did not any more."""
    project = make_project()
    assert store_batch(events=[make_event(project, 1, time_is_usable=False)]).stored == 1
    retry = make_event(
        project, 1, received_at=NOW + timedelta(minutes=9), occurred_at=NOW + timedelta(minutes=7)
    )
    assert store_batch(events=[retry]).duplicates == 1
    assert_counters_are_the_rows()


@pytest.mark.django_db
def test_a_known_event_with_another_fingerprint_leaves_no_group_without_events():
    project = make_project()
    store_batch(events=[make_event(project, 1, kind="A")])
    assert store_batch(events=[make_event(project, 1, kind="B")]).duplicates == 1
    assert [g.exception_type for g in ErrorGroup.objects.all()] == ["A"]


@pytest.mark.django_db
def test_the_same_id_in_two_projects_is_two_events():
    for name in ("Shop", "Library"):
        assert store_batch(events=[make_event(make_project(name), 1)]).stored == 1
    assert ErrorGroup.objects.count() == 2


@pytest.mark.django_db
def test_seen_ids_are_forgotten_after_two_days():
    project = make_project()
    store_batch(events=[make_event(project, 1, time_is_usable=False)])
    assert storing.forget_seen(now=NOW + timedelta(hours=47)) == 0
    tasks.retain(now=NOW + timedelta(hours=49), slot=0)
    assert not SeenEvent.objects.exists()


# --- Times and partitions ---
def partition_of(event_id):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM errors_errorevent WHERE id = %s", [event_id])
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_old_events_land_in_the_partition_of_their_day_if_there_is_one_and_are_kept_if_there_is_none():
    project = make_project()
    made, unmade = NOW - timedelta(days=90), NOW - timedelta(days=80)
    partitions.ensure("errors_errorevent", made, made + timedelta(seconds=1))
    for number, at in enumerate((made, unmade)):
        assert store_batch(events=[make_event(project, number, occurred_at=at)], backfilled=True).stored == 1
    first, second = ErrorEvent.objects.order_by("id")
    assert partition_of(first.id) == f"errors_errorevent_{made:%Y%m%d}"
    assert partition_of(second.id) == "errors_errorevent_default"
    assert list(ErrorEvent.objects.filter(id__gte=uuid_floor(unmade))) == [second]
    assert ErrorGroup.objects.get().backfilled
    assert_counters_are_the_rows()


@pytest.mark.django_db
def test_a_group_remembers_its_ends_when_events_come_late():
    project = make_project()
    store_batch(events=[make_event(project, 1, age_s=60, release="1.1", severity=RecordSeverity.MAJOR)])
    store_batch(events=[make_event(project, 2, age_s=600, release="1.0", severity=RecordSeverity.MINOR)])
    group = ErrorGroup.objects.get()
    assert (group.first_seen, group.last_seen) == (NOW - timedelta(seconds=600), NOW - timedelta(seconds=60))
    assert (group.severity, group.last_release) == ("Major", "1.1")
    assert millis(timestamp_of(group.last_event_id)) == millis(group.last_seen)


# --- Caps ---
def tags_of(key):
    return dict(GroupTag.objects.filter(key=key).values_list("value", "n"))


@pytest.mark.django_db
def test_values_of_a_tag_beyond_the_cap_are_counted_together(monkeypatch):
    project = make_project()
    events = [make_event(project, n, tags={"ip": f"host-{n % 60:02}"}) for n in range(120)]
    store_batch(events=events[:60])
    store_batch(events=events[60:])
    counted = tags_of("ip")
    assert len(counted) == counting.TAG_VALUES_KEPT + 1
    assert (sum(counted.values()), counted[counting.OTHER]) == (120, 20)


@pytest.mark.django_db
def test_a_new_value_is_kept_while_there_is_room_however_many_known_ones_come_with_it():
    project = make_project()
    store_batch(events=[make_event(project, n, tags={"ip": f"host-{n}"}) for n in range(40)])
    store_batch(events=[make_event(project, 100 + n, tags={"ip": f"host-{n}"}) for n in range(41)])
    counted = tags_of("ip")
    assert counted["host-40"] == 1
    assert counted["host-0"] == 2
    assert counting.OTHER not in counted


@pytest.mark.django_db
def test_keys_of_tags_are_capped_too_and_nothing_is_lost():
    project = make_project()
    store_batch(events=[make_event(project, 1, tags={"os": "Linux"})])
    for start in (0, 80):
        store_batch(
            events=[make_event(project, 2 + start + n, tags={f"k{start + n}": "v"}) for n in range(80)]
        )
    store_batch(events=[make_event(project, 999, tags={"os": "BSD"})])
    keys = set(GroupTag.objects.values_list("key", flat=True))
    assert len(keys) == counting.TAG_KEYS_KEPT + 1
    assert tags_of("os") == {"Linux": 1, "BSD": 1}
    assert sum(GroupTag.objects.values_list("n", flat=True)) == 162


@pytest.mark.django_db
def test_senders_cannot_make_components_without_end(monkeypatch):
    monkeypatch.setattr("apps.projects.services.MOST_COMPONENTS", 3)
    project = make_project()
    for n in range(10):
        store_batch(events=[make_event(project, 10 * n + i, component_name=f"C{n}-{i}") for i in range(2)])
    assert set(project.components.values_list("name", flat=True)) == {"C0-0", "C0-1", "C1-0", "API Services"}
    assert ErrorEvent.objects.filter(component__name="API Services").count() == 17
    store_batch(events=[make_event(project, 999, component_name="C0-0")])
    assert ErrorEvent.objects.filter(component__name="C0-0").count() == 2


@pytest.mark.django_db
def test_a_component_is_made_once_and_audited():
    project = make_project()
    for n in range(2):
        store_batch(events=[make_event(project, n, component_name="Payments ")])
    assert [c.name for c in Component.objects.all()] == ["Payments"]
    assert AuditEvent.objects.filter(action="component.create").count() == 1


@pytest.mark.django_db
def test_hostile_texts_of_any_length_are_stored():
    event = make_event(
        make_project(), 1, route="/" + "\N{PILE OF POO}" * 300, release="r" * 300, environment="e" * 300,
        message="<script>" * 1000, tags={"k" * 90: "\N{PILE OF POO}" * 300, "": "", "'; --": "%s {} $1 \\"},
        component_name="'; DROP TABLE--", payload={"extra": {"%s": "\\u0000", "x": 1e308, "n": 2**64 - 1}},
    )  # fmt: skip
    assert store_batch(events=[event]).stored == 1
    assert_counters_are_the_rows_by_count()


def assert_counters_are_the_rows_by_count():
    assert sum(ErrorGroup.objects.values_list("event_count", flat=True)) == ErrorEvent.objects.count()


# --- Regressions ---
@pytest.mark.django_db
def test_a_resolved_group_that_is_seen_in_a_newer_release_is_open_again():
    project = make_project()
    store_batch(events=[make_event(project, 1, age_s=600, release="shop@1.9")])
    group = ErrorGroup.objects.get()
    services.resolve_group(group=group, actor=make_person(), now=NOW - timedelta(seconds=300))
    assert store_batch(events=[make_event(project, 2, age_s=400, release="shop@1.10")]).regressed == []
    assert store_batch(events=[make_event(project, 3, age_s=200, release="shop@1.9")]).regressed == []
    group.refresh_from_db()
    assert group.status == "resolved"
    back = make_event(project, 4, age_s=100, release="shop@1.10")
    assert store_batch(events=[back]).regressed == [group.pk]
    group.refresh_from_db()
    assert (group.status, group.times_regressed, group.regressed_at) == ("unresolved", 1, back.occurred_at)
    assert (group.resolved_at, group.resolved_by, group.resolution_status) == (None, "", "Open")
    told = AuditEvent.objects.get(action="error_group.regress")
    assert told.details == {"release": "shop@1.10"}
    assert store_batch(events=[make_event(project, 5, release="shop@1.11")]).regressed == []


@pytest.mark.django_db
def test_an_ignored_group_stays_ignored_and_counts_on():
    project = make_project()
    store_batch(events=[make_event(project, 1)])
    services.ignore_group(group=ErrorGroup.objects.get(), actor=make_person())
    store_batch(events=[make_event(project, 2)])
    group = ErrorGroup.objects.get()
    assert (group.status, group.event_count) == ("ignored", 2)


# --- Several drains at once ---
@pytest.mark.django_db(transaction=True)
def test_drains_that_write_the_same_groups_at_once_count_exactly_and_never_lock_each_other_out():
    project = make_project()
    events = make_mixed(project, random.Random(3), 600)
    shuffled = [random.Random(n).sample(events, len(events)) for n in range(4)]

    def write(number):
        own = shuffled[number]
        return sum(store_batch(events=own[at : at + 40]).stored for at in range(0, len(own), 40))

    assert sum(at_once(4, write)) == 600
    assert_counters_are_the_rows()


@pytest.mark.django_db(transaction=True)
def test_two_drains_that_hear_of_a_component_at_once_make_one():
    project = make_project()

    def write(number):
        return store_batch(events=[make_event(project, number, component_name="Payments", kind="A")]).stored

    assert at_once(4, write) == [1, 1, 1, 1]
    assert [c.name for c in Component.objects.all()] == ["Payments"]
    assert ErrorGroup.objects.get().event_count == 4
    assert AuditEvent.objects.filter(action="component.create").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_regression_seen_by_two_drains_is_one():
    project = make_project()
    store_batch(events=[make_event(project, 0, age_s=600)])
    services.resolve_group(
        group=ErrorGroup.objects.get(), actor=make_person(), now=NOW - timedelta(seconds=300)
    )
    regressed = at_once(4, lambda n: store_batch(events=[make_event(project, 1 + n)]).regressed)
    assert sorted(map(len, regressed)) == [0, 0, 0, 1]
    assert ErrorGroup.objects.get().times_regressed == 1


@pytest.mark.django_db
def test_the_migration_fills_the_counters_of_hours_and_days_with_what_was_counted_before():
    store_batch(events=make_mixed(make_project(), random.Random(4), 60))
    for model in (ErrorHour, EndpointHour, EndpointDay, GroupDay, HitUserDay):
        model.objects.all().delete()
    for name in ("0004_hours_and_days", "0008_endpoint_day"):
        with connection.cursor() as cursor:
            cursor.execute(import_module(f"apps.errors.migrations.{name}").FILL)
    assert ErrorHour.objects.exists() and HitUserDay.objects.exists()
    assert_counters_are_the_rows()
