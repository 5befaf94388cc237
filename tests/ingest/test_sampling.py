"""A flood through the real drain, with spike protection and without: the same figures, fewer payloads."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.errors import storing
from apps.errors.models import (
    EndpointMinute,
    ErrorEvent,
    ErrorGroup,
    ErrorMinute,
    GroupHour,
    GroupTag,
    GroupUser,
)
from apps.errors.queries import same_hour_on_days_before
from apps.ingest import sampling
from apps.ingest.decoding import hash_key
from apps.ingest.models import EntryKind, InboxEntry, ItemCount
from apps.ingest.spike import is_chosen
from apps.ingest.tasks import drain
from tests.errors.make import make_event
from tests.ingest.wsgi import FOREIGN_KEY, make_envelope, make_project
from tests.people import make_person

pytestmark = pytest.mark.django_db(transaction=True)  # floods are counted when they are committed
NOW = timezone.now().replace(microsecond=0)


@pytest.fixture(autouse=True)
def _calm(settings):
    settings.SPIKE_FLOOR, settings.SPIKE_GROUP, settings.SPIKE_KEEP_FIRST = 100, 60, 4
    settings.SPIKE_KEEP_ONE_IN, settings.SPIKE_FACTOR = 5, 3
    sampling.forget()
    yield
    sampling.forget()


def flood(count, group="KeyError", start=0):
    """Events as SDKs send them: a few users, routes, tags and a stack."""
    return [
        {
            "event_id": f"{start + n + 1:032x}", "timestamp": NOW.timestamp(), "transaction": f"/basket/{n % 3}",
            "exception": [{"type": group, "value": "x", "stacktrace": {"frames": [{"function": "f", "lineno": n}]}}],
            "tags": {"shard": str(n % 4)}, "user": {"id": str(n % 7)}, "level": "error",
        }
        for n in range(count)
    ]  # fmt: skip


def take(project, events, per_entry=20):
    """Through inbox and drain, in small batches of time."""
    for at in range(0, len(events), per_entry):
        InboxEntry.objects.create(
            received_at=NOW, project_id=project.pk, kind=EntryKind.ENVELOPE,
            body=make_envelope(*events[at : at + per_entry]),
        )  # fmt: skip
        drain(now=timezone.now(), slot=0)
    assert not InboxEntry.objects.exists()


def whole(project):
    """Ids of the events that kept their payload."""
    rows = ErrorEvent.objects.filter(project=project).values_list("event_id", "payload")
    return {event_id for event_id, payload in rows if "exceptions" in payload}


def figures(project):
    """Every figure of a project that a page or a rule reads."""
    groups = ErrorGroup.objects.filter(project=project)
    types = dict(groups.values_list("pk", "exception_type"))

    def of_project(model, *names, **more):
        return sorted(model.objects.filter(project=project, **more).values_list(*names))

    def of_groups(model, *names):
        rows = model.objects.filter(group__in=groups).values_list("group", *names)
        return sorted((types[group], *row) for group, *row in rows)

    counted = ItemCount.objects.filter(project_id=project.pk, item_type="event")
    return {
        "groups": of_project(ErrorGroup, "exception_type", "event_count", "user_count", "title", "culprit"),
        "minutes": of_project(ErrorMinute, "minute", "severity", "n", "impacting"),
        "endpoints": of_project(EndpointMinute, "endpoint", "n"),
        "events": of_project(ErrorEvent, "event_id", "severity", "message", "endpoint", "tags__shard"),
        "hours": of_groups(GroupHour, "hour", "n"),
        "users": of_groups(GroupUser, "last_seen"),
        "tags": of_groups(GroupTag, "key", "value", "n"),
        "counted": sorted(counted.values_list("outcome", "n")),
    }


def test_a_flood_has_the_same_figures_with_protection_and_without(settings):
    events = [*flood(200), *flood(150, "ValueError", start=1000), *flood(30, "OSError", start=2000)]
    protected, plain = make_project(), make_project("Plain", FOREIGN_KEY)
    take(protected, events)
    settings.SPIKE_PROTECTION = False
    take(plain, events)
    assert figures(protected) == figures(plain)
    assert len(whole(plain)) == 380
    assert len(whole(protected)) < 200
    lost = ItemCount.objects.get(item_type="payload")
    assert (lost.outcome, lost.project_id, lost.n) == ("sampled", protected.pk, 380 - len(whole(protected)))


def test_which_payloads_are_kept_follows_from_the_order_and_the_ids_alone():
    project, events = make_project(), [*flood(200), *flood(40, "OSError", start=1000)]
    take(project, events)
    key = hash_key()
    ids = [e["event_id"] for e in events]
    hot, late = ids[:200], ids[200:]
    expected = {*hot[:60], *(i for i in hot[60:] if is_chosen(i, 5, key))}
    expected |= {
        *late[:4],
        *(i for i in late[4:] if is_chosen(i, 5, key)),
    }  # the project is beyond its limit by then
    assert whole(project) == expected


def test_an_event_that_comes_again_is_the_one_that_was_stored():
    project, events = make_project(), flood(120)
    take(project, events)
    kept = whole(project)
    take(project, events)
    assert whole(project) == kept
    assert ErrorGroup.objects.get().event_count == 120


def test_a_project_that_always_has_many_errors_keeps_its_payloads(settings):
    settings.SPIKE_GROUP = 10**6
    project = make_project()
    hour = NOW.replace(minute=0, second=0)
    storing.store_batch(
        events=[make_event(project, n, occurred_at=hour - timedelta(days=n % 7 + 1)) for n in range(70)]
    )
    assert same_hour_on_days_before(project.pk, hour, 7) == [10] * 7
    ErrorMinute.objects.filter(project=project).update(n=60 * 100)  # 100 a minute, each day at this hour
    take(project, flood(290))
    assert len(whole(project)) == 290
    take(project, flood(100, start=1000))
    assert len(whole(project)) < 390


def test_another_projects_flood_costs_nobody_else_a_payload():
    hot, calm = make_project(), make_project("Calm", FOREIGN_KEY)
    take(hot, flood(200))
    take(calm, flood(50))
    assert len(whole(calm)) == 50


def test_errors_that_waited_for_hours_are_no_flood_if_they_came_slowly():
    project = make_project()
    for minute in range(10):
        InboxEntry.objects.create(
            received_at=NOW - timedelta(minutes=60 - minute), project_id=project.pk, kind=EntryKind.ENVELOPE,
            body=make_envelope(*flood(50, start=minute * 100)),
        )  # fmt: skip
    drain(now=timezone.now(), slot=0)
    assert len(whole(project)) == 500


def test_the_page_of_an_event_says_why_there_is_nothing_of_it():
    project = make_project()
    take(project, flood(200))
    client = Client()
    client.force_login(make_person("alice", "Viewer"))
    group = ErrorGroup.objects.get()
    kept = whole(project)
    thin = ErrorEvent.objects.exclude(event_id__in=kept).first()
    page = f"/admin/errors/errorgroup/{group.pk}/change/?event="
    said = f"Payload not kept: spike protection at {NOW:%H:%M} UTC"
    assert said in client.get(f"{page}{thin.pk}").content.decode()
    other = ErrorEvent.objects.filter(event_id__in=kept).first()
    assert "Payload not kept" not in client.get(f"{page}{other.pk}").content.decode()
