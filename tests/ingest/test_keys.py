"""What the door asks about keys, and how often: strangers cost next to nothing, and keys that end, end soon."""

import secrets
import threading
import time

import psycopg
import pytest
from django.utils import timezone

from apps.ingest import keys
from apps.ingest.models import ItemCount
from apps.projects.models import ProjectKey
from tests.at_once import at_once
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(monkeypatch):
    """Every question to the database, as its text."""
    fetch, questions = keys._fetch, []
    monkeypatch.setattr(keys, "_fetch", lambda sql, given: questions.append(sql) or fetch(sql, given))
    return questions


def test_a_known_key_is_asked_about_once_in_a_few_seconds(asked):
    make_project()
    assert all(keys.find(KEY) for _ in range(1000))
    assert len(asked) == 2  # all keys once, then this one


def test_a_flood_of_made_up_keys_is_not_a_flood_of_questions(asked):
    make_project()
    begun = time.monotonic()
    found = [keys.find(secrets.token_hex(16)) for _ in range(20_000)]
    most = keys.STRANGERS.burst + keys.STRANGERS.rate * (time.monotonic() - begun)
    assert not any(found)
    assert len(asked) <= most + 2
    assert keys.find(KEY), "a real key has not to compete with them"


def test_the_same_made_up_key_is_asked_about_once(asked):
    assert [keys.find(FOREIGN_KEY) for _ in range(100)] == [None] * 100
    assert len(asked) == 2


def test_a_key_made_after_the_first_question_is_found_at_once(asked):
    project = make_project()
    assert keys.find(KEY)
    ProjectKey.objects.create(project=project, public_key=FOREIGN_KEY)
    assert keys.find(FOREIGN_KEY)


def test_keys_that_were_loaded_before_they_were_used_hold_while_the_database_is_away(monkeypatch):
    project = make_project()
    ProjectKey.objects.create(project=project, public_key=FOREIGN_KEY)
    assert keys.find(KEY)

    def away(*_, **__):
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(keys, "_fetch", away)
    assert keys.find(FOREIGN_KEY).project_id == project.pk
    with pytest.raises(keys.KeysUnavailable):
        keys.find("a" * 32)


def test_a_key_that_ended_is_known_to_have_ended_when_its_time_to_be_fresh_is_over(monkeypatch):
    make_project()
    monkeypatch.setattr(keys, "FRESH_S", 0.2)
    assert keys.find(KEY)
    ProjectKey.objects.update(expires_at=timezone.now())
    time.sleep(0.2)
    assert keys.find(KEY) is None


def test_a_key_that_ended_is_refused_also_while_others_are_asking_all_the_time(monkeypatch):
    make_project()
    assert keys.find(KEY)
    ProjectKey.objects.update(active=False)
    fetch, ended = keys._fetch, threading.Event()

    def slow(sql, given):
        time.sleep(0.01)
        return fetch(sql, given)

    def stranger(number):
        while not ended.is_set():
            keys._ask(f"{number:032x}", wait_s=-1)
            time.sleep(0.001)

    def holder(_):
        time.sleep(0.1)  # the others are asking by now
        try:
            return keys.find(KEY)
        finally:
            ended.set()

    monkeypatch.setattr(keys, "_fetch", slow)
    monkeypatch.setattr(keys, "FRESH_S", 0)
    assert at_once(3, lambda n: stranger(n) if n else holder(n))[0] is None


def test_facts_of_a_key_say_its_limits_and_whether_a_quota_is_used_up(settings):
    project = make_project(rate_limit_per_minute=7, allowed_origins=["HTTPS://App.example.org/"])
    today = timezone.now().date()
    ItemCount.objects.create(day=today, project_id=project.pk, item_type="event", outcome="stored", n=10)
    for outcome in ("duplicate", "rate_limited", "over_quota", "too_large"):
        ItemCount.objects.create(day=today, project_id=project.pk, item_type="event", outcome=outcome, n=900)
    ItemCount.objects.create(day=today, project_id=project.pk, item_type="session", outcome="stored", n=900)
    ItemCount.objects.create(day=today, project_id=0, item_type="event", outcome="stored", n=90)

    def facts():
        keys.forget()
        return keys.find(KEY)

    assert facts().spent is None
    assert (facts().rate_per_minute, facts().allowed_origins) == (7, ("https://app.example.org",))
    type(project).objects.update(events_per_day=11)
    assert facts().spent is None
    type(project).objects.update(events_per_day=10)
    assert (facts().spent.label, facts().spent.used) == ("Events today", 10)
    type(project).objects.update(events_per_day=None)
    settings.INGEST_EVENTS_PER_MONTH = 100
    assert (facts().spent.label, facts().spent.used) == ("Events this month, all projects", 100)
    settings.INGEST_EVENTS_PER_MONTH = 101
    assert facts().spent is None
