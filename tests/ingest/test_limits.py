"""Limits of keys against the real Valkey: one bucket for all processes, and none of it needed."""

import json
import subprocess
import sys
import textwrap
import time

import pytest
from redis import Redis

from apps.ingest import limits
from apps.ingest.limits import RateLimited
from apps.ingest.token_bucket import Bucket, Limit
from tests.core.processes import PROJECT

ID = 987_654_321


@pytest.fixture(autouse=True)
def _own_bucket(settings):
    settings.WEB_WORKERS, settings.INGEST_BURST_S = 2, 100
    forget()
    yield
    forget()


def forget():
    limits.forget()
    limits._client().delete(*(limits.name_of(key) for key in (ID, ID + 1)))


def passed(tries, events=1, rate=6, key=ID):
    """How many of so many tries pass."""
    done = 0
    for _ in range(tries):
        try:
            limits.take(key, events, rate)
        except RateLimited:
            continue
        done += 1
    return done


def test_a_burst_passes_and_then_no_more_than_the_rate():
    assert passed(100) == 10
    assert passed(100, key=ID + 1) == 10  # each key has its own


def test_a_refused_sender_is_told_when_to_come_again():
    passed(11)
    with pytest.raises(RateLimited) as caught:
        limits.take(ID, 1, 6)
    assert 1 <= caught.value.retry_after_s <= 10
    with pytest.raises(RateLimited) as caught:
        limits.take(ID + 1, 5, 6) or limits.take(ID + 1, 10, 6)
    assert 1 <= caught.value.retry_after_s <= limits.LONGEST_WAIT_S


def test_the_installations_limit_holds_where_the_key_names_none(settings):
    settings.INGEST_RATE_PER_MINUTE, settings.INGEST_BURST_S = 6, 50
    assert passed(50, rate=None) == 5


def test_the_script_in_valkey_and_the_arithmetic_give_the_same_answers():
    limit = Limit(1e-9, 100)  # too slow for the time between two questions to count
    bucket = Bucket(100.0, 0.0)
    for wanted, back in [(1, 0), (5, 3), (500, 0), (30, 0), (60, 0), (1, 0), (7, 7)]:
        here = bucket.ask(wanted, limit, now=0.0, chunk=limit.chunk, back=back)
        there = limits._ask_valkey(ID, wanted, limit, back)
        assert there.granted == here.granted
        assert there.wait_s == pytest.approx(here.wait_s, rel=1e-6)
        assert there.dry_s == pytest.approx(here.dry_s, rel=1e-6)


def test_a_bucket_in_valkey_goes_when_it_would_be_full_again():
    limits.take(ID, 10, 60)
    assert 60 <= limits._client().ttl(limits.name_of(ID)) <= 161


def test_nearly_every_request_is_settled_without_asking(monkeypatch):
    ask, asked = limits._ask_valkey, []
    monkeypatch.setattr(limits, "_ask_valkey", lambda *given: asked.append(1) or ask(*given))
    assert passed(2000, rate=600_000) == 2000
    assert len(asked) <= 2000 / 500 + 3  # a chunk of 500, renewed when a second is over
    asked.clear()
    passed(12, key=ID + 1)
    asked.clear()
    passed(5000, key=ID + 1)  # refused without a question until there is a token again
    assert len(asked) <= 5


def test_while_valkey_is_away_each_process_grants_its_share(settings, monkeypatch):
    settings.WEB_WORKERS = 4
    with monkeypatch.context() as away:
        away.setattr(limits, "_client", lambda: Redis.from_url("redis://127.0.0.1:1/0"))
        assert passed(1000, rate=4) == 1  # its share is one in a minute, and no burst on top
        assert 25 <= passed(1000, rate=6000, key=ID + 1) < 1000
    assert limits._link.away_until > time.monotonic()  # and it is not asked for every request


CLIENT = """
    import json, os, sys, time
    os.environ["PORTAL_PROCESS"] = "web"
    os.environ["DJANGO_SETTINGS_MODULE"] = "reliability_portal.settings"
    import tests.environment
    import django
    django.setup()
    from django.conf import settings
    from apps.ingest import limits
    settings.CACHES["default"]["KEY_PREFIX"] = sys.argv[1]
    settings.INGEST_BURST_S = 10
    print("ready", flush=True)
    sys.stdin.readline()
    passed, begun, until = 0, time.time(), time.time() + 3
    while time.time() < until:
        try:
            limits.take(int(sys.argv[2]), 3, int(sys.argv[3]))
            passed += 3
        except limits.RateLimited:
            time.sleep(0.002)
    print(json.dumps([begun, time.time(), passed, os.getpid()]), flush=True)
"""


@pytest.mark.parametrize("rate", [600, 60_000])
def test_several_processes_together_pass_no_more_than_one_bucket_holds(rate, settings):
    prefix = settings.CACHES["default"]["KEY_PREFIX"]
    program = [sys.executable, "-c", textwrap.dedent(CLIENT), prefix, str(ID), str(rate)]
    several = [
        subprocess.Popen(program, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for one in several:
        assert one.stdout.readline() == "ready\n"
    for one in several:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [json.loads(one.communicate(timeout=60)[0]) for one in several]
    begun, ended = min(t[0] for t in told), max(t[1] for t in told)
    total = sum(t[2] for t in told)
    limit = limits.per_minute(rate, 10)
    most = limit.rate * (ended - begun) + limit.burst
    assert total <= most + len(several) * limit.chunk
    # And the limit is there to be used: what four greedy processes get is nearly all of it.
    assert total >= 0.8 * (limit.rate * 3 + limit.burst) - len(several) * limit.chunk
    assert len({t[3] for t in told}) == 4
