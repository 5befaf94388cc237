"""Limits and quotas from outside: what is refused before work, what the sender is told, and that it is counted."""

from datetime import timedelta

import orjson
import pytest
from django.utils import timezone

from apps.ingest import admission, inbox, keys, limits
from apps.ingest.models import InboxEntry, ItemCount
from apps.ingest.tally import tally
from apps.projects.models import KeyDay, Project, ProjectKey
from tests.core.processes import wait_until
from tests.ingest.wsgi import KEY, make_envelope, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = {"message": "out of stock"}
SESSION = ("session", b"{}")


@pytest.fixture(autouse=True)
def _slow_refill(settings):
    """A limit of 6 a minute has a burst of 10 and gains one in 10 s: tests are quicker than that."""
    settings.INGEST_BURST_S = 100
    yield
    client, prefix = limits._client(), settings.CACHES["default"]["KEY_PREFIX"]
    client.delete(*(client.keys(f"{prefix}:ingest:bucket:*") or ["none"]))


def make_limited(**facts):
    return make_project(**{"rate_limit_per_minute": 6, **facts})


def send(project, *events, more=(), **environ):
    return post(
        f"/api/{project.pk}/envelope/", make_envelope(*events, more=more), **{**with_key(), **environ}
    )


def throttled(answer, code, limits_header):
    """The one error body, and both headers that say when to come again."""
    assert (answer.status, answer.json["code"]) == (429, code), answer.body
    assert [d["field"] for d in answer.json["details"]] == ["sentry_key"]
    wait = int(answer.headers["retry-after"])
    assert answer.headers["x-sentry-rate-limits"] == limits_header.format(wait)
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    return wait


def is_counted(project, expected):
    """Until the committer's thread has written (type, outcome) → n."""

    def rows():
        found = ItemCount.objects.filter(project_id=project.pk)
        return {(kind, outcome): n for kind, outcome, n in found.values_list("item_type", "outcome", "n")}

    wait_until(lambda: rows() == expected, f"counted {expected}")


@pytest.fixture
def _flushed_at_once(monkeypatch):
    monkeypatch.setattr(inbox, "FLUSH_EVERY_S", 0)
    monkeypatch.setattr(inbox, "LOOK_EVERY_S", 0.05)


# --- Limits -------------------------------------------------------------------------------------------------------
class Untouched:
    def read(self, size=-1):
        raise AssertionError("read")


@pytest.mark.parametrize(
    "path", ["/api/{}/envelope/", "/api/{}/store/", "/api/errors/", "/api/errors/client", "/api/errors/batch"]
)
def test_beyond_its_limit_a_key_is_told_when_to_come_again_before_its_body_is_read(path):
    project = make_limited()
    body = make_envelope(EVENT) if "envelope" in path else orjson.dumps(EVENT)
    given = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}
    path = path.format(project.pk)
    statuses = [post(path, body, **given).status for _ in range(10)]
    assert set(statuses) <= {200, 201, 202}
    assert 1 <= throttled(post(path, stream=Untouched(), **given), "rate_limited", "{}::key") <= 10
    assert InboxEntry.objects.count() == 10


def test_each_event_of_an_envelope_counts_and_other_items_do_not():
    project = make_limited()
    assert send(project, *[EVENT] * 8, more=[SESSION] * 20).status == 200
    throttled(
        send(project, *[EVENT] * 3), "rate_limited", "{}::key"
    )  # 2 were left: taken one, and two are missing
    assert send(project, EVENT).status == 200
    assert InboxEntry.objects.count() == 2


def test_an_envelope_without_events_costs_one():
    project = make_limited()
    assert [send(project, more=[SESSION] * 5).status for _ in range(11)] == [200] * 10 + [429]


def test_each_record_of_a_batch_counts():
    make_limited()
    given = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}
    assert post("/api/errors/batch", orjson.dumps([EVENT] * 8), **given).status == 202
    throttled(post("/api/errors/batch", orjson.dumps([EVENT] * 8), **given), "rate_limited", "{}::key")
    assert InboxEntry.objects.count() == 1


def test_a_batch_larger_than_the_burst_passes_when_nothing_else_was_sent_and_is_paid_for_later():
    make_limited()
    given = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}
    batch = orjson.dumps([EVENT] * 50)
    assert post("/api/errors/batch", batch, **given).status == 202
    wait = throttled(post("/api/errors/client", orjson.dumps(EVENT), **given), "rate_limited", "{}::key")
    assert wait == limits.LONGEST_WAIT_S  # more than that, but a raised limit should be noticed


def test_a_key_in_the_envelope_alone_is_limited_too():
    project = make_limited()
    body = make_envelope(EVENT, dsn=f"http://{KEY}@127.0.0.1:8000/{project.pk}")
    answers = [post(f"/api/{project.pk}/envelope/", body) for _ in range(11)]
    assert [a.status for a in answers] == [200] * 10 + [429]


def test_one_keys_limit_is_not_anothers():
    project = make_limited()
    ProjectKey.objects.create(project=project, public_key="e" * 32)
    assert [send(project, EVENT).status for _ in range(11)][-1] == 429
    assert send(project, EVENT, **with_key("e" * 32)).status == 200


@pytest.mark.usefixtures("_flushed_at_once")
def test_what_was_refused_is_counted_by_what_is_known_of_it():
    project = make_limited()
    assert send(project, *[EVENT] * 9).status == 200
    assert send(project, *[EVENT] * 5, more=[SESSION, ("made_up_by_a_stranger", b"x")]).status == 429
    assert send(project, EVENT).status == 429
    assert post("/api/errors/client", b"{}", HTTP_AUTHORIZATION=f"Bearer {KEY}").status == 429
    is_counted(project, {
        ("event", "rate_limited"): 5, ("session", "rate_limited"): 1, ("unknown", "rate_limited"): 1,
        ("envelope", "rate_limited"): 1, ("records", "rate_limited"): 1,
    })  # fmt: skip


# --- Quotas -------------------------------------------------------------------------------------------------------
def make_spent(**ends):
    project = make_project()
    Project.objects.filter(pk=project.pk).update(**(ends or {"events_per_day": 100}))
    today = timezone.now().date()
    ItemCount.objects.create(day=today, project_id=project.pk, item_type="event", outcome="stored", n=100)
    return project


ENDS_TODAY = "{}:error;transaction:project"


def until_midnight():
    now = timezone.now()
    return (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()


def test_a_spent_quota_refuses_events_until_its_period_ends_and_says_so():
    answer = send(make_spent(), EVENT)
    wait = throttled(answer, "over_quota", ENDS_TODAY)
    assert abs(wait - min(until_midnight(), admission.LONGEST_WAIT_S)) <= 60
    assert "the quota of 100 is used up until" in answer.json["message"]
    assert not InboxEntry.objects.exists()


def test_a_spent_quota_still_takes_what_costs_a_few_bytes():
    project = make_spent()
    assert send(project, more=[SESSION]).status == 200
    throttled(send(project, EVENT, more=[SESSION]), "over_quota", ENDS_TODAY)


@pytest.mark.parametrize(
    "path", ["/api/{}/store/", "/api/errors/", "/api/errors/client", "/api/errors/batch"]
)
def test_where_only_events_can_come_a_spent_quota_refuses_before_the_body_is_read(path):
    project = make_spent(events_per_month=7)
    answer = post(path.format(project.pk), stream=Untouched(), HTTP_AUTHORIZATION=f"Bearer {KEY}")
    throttled(answer, "over_quota", ENDS_TODAY)


def test_a_quota_of_the_installation_holds_for_every_project(settings):
    spent, other = make_spent(events_per_day=None), make_project("Other", "e" * 32)
    settings.INGEST_EVENTS_PER_DAY = 100
    for project, key in ((spent, KEY), (other, "e" * 32)):
        answer = send(project, EVENT, **with_key(key))
        throttled(answer, "over_quota", "{}:error;transaction:organization")


def test_a_quota_that_is_raised_or_that_ended_refuses_nobody(monkeypatch):
    project = make_spent()
    assert send(project, EVENT).status == 429
    tomorrow = timezone.now() + timedelta(days=1)
    with monkeypatch.context() as later:
        later.setattr(admission.timezone, "now", lambda: tomorrow)
        assert send(project, EVENT).status == 200  # even if nobody can be asked any more
    Project.objects.update(events_per_day=101)
    monkeypatch.setattr(keys, "FRESH_S", 0)
    assert send(project, EVENT).status == 200


@pytest.mark.usefixtures("_flushed_at_once")
def test_what_a_quota_refused_is_counted_and_does_not_use_the_quota_up():
    project = make_spent(events_per_day=100)
    for _ in range(3):
        send(project, EVENT, EVENT, more=[SESSION])
    is_counted(project, {
        ("event", "stored"): 100, ("event", "over_quota"): 6, ("session", "over_quota"): 3,
    })  # fmt: skip
    Project.objects.update(events_per_day=101)
    keys.forget()
    assert send(project, EVENT).status == 200


# --- Counting -----------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("_flushed_at_once")
def test_requests_are_counted_by_key_and_day():
    project = make_project()
    for _ in range(3):
        send(project, EVENT)
    send(project, EVENT, **with_key("e" * 32))  # a stranger's
    wait_until(lambda: sum(KeyDay.objects.values_list("requests", flat=True)) == 3, "counts are written")
    day = KeyDay.objects.get()
    assert (day.key.public_key, day.day, day.requests) == (KEY, timezone.now().date(), 3)


@pytest.mark.usefixtures("_flushed_at_once")
def test_counts_wait_for_a_database_that_is_away_and_for_keys_that_are_gone(monkeypatch):
    project = make_limited()
    key = project.keys.get()
    broken = []

    def away(_):
        broken.append(1)
        raise keys.psycopg.OperationalError("away")

    with monkeypatch.context() as while_away:
        while_away.setattr(inbox.Committer, "_connected", away)
        tally.used(key.pk, timezone.now().date())
        tally.used(key.pk + 1, timezone.now().date())
        tally.refused(project.pk, {"event": 2}, "rate_limited", timezone.now().date())
        inbox.attend()
        wait_until(lambda: len(broken) > 2, "it was tried")
        assert not tally.is_empty()
    is_counted(project, {("event", "rate_limited"): 2})
    assert KeyDay.objects.get().requests == 1
