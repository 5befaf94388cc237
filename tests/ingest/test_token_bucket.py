"""The arithmetic of limits, against any order of wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ingest.token_bucket import ASKS_EVERY_S, LEASED_FOR_S, Answer, Bucket, Lease, Limit, per_minute

wants = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=60)


@given(wants, st.floats(0.1, 50), st.floats(50, 200))
def test_no_more_passes_than_rate_times_time_and_one_burst(asked, rate, burst):
    limit, bucket, now, passed = Limit(rate, burst), Bucket(burst, 0.0), 0.0, 0
    for pause, wanted, chunk in asked:
        now += pause
        passed += bucket.ask(wanted, limit, now=now, chunk=chunk).granted
        assert passed <= rate * now + burst + 1e-6


@given(wants, st.floats(0.1, 50))
def test_whoever_waits_as_long_as_told_gets_it(asked, rate):
    limit, bucket, now = Limit(rate, 20.0), Bucket(20.0, 0.0), 0.0
    for pause, wanted, _ in asked:
        now += pause
        answer = bucket.ask(wanted, limit, now=now)
        if not answer.granted:
            now += answer.wait_s + 1e-6
            assert bucket.ask(wanted, limit, now=now).granted == wanted


def test_a_want_beyond_the_burst_is_met_from_a_nearly_full_bucket_which_then_owes():
    limit, bucket = Limit(10, 100), Bucket(100, 0.0)
    assert bucket.ask(500, limit, now=0).granted == 500
    answer = bucket.ask(1, limit, now=1)
    assert (answer.granted, answer.wait_s, answer.dry_s) == (0, 39.1, 39.1)
    assert bucket.ask(500, limit, now=48.9).granted == 0
    assert bucket.ask(500, limit, now=49).granted == 500


def test_unused_tokens_go_back_and_never_above_the_burst():
    limit, bucket = Limit(1, 10), Bucket(0.0, 0.0)
    assert bucket.ask(5, limit, now=0, back=4) == Answer(0, 1.0, 0.0)
    assert bucket.ask(1, limit, now=0, back=1000, chunk=1000).granted == 10


def test_a_clock_that_steps_back_takes_nothing_away():
    limit, bucket = Limit(1, 10), Bucket(5.0, 100.0)
    assert bucket.ask(5, limit, now=50).granted == 5
    assert bucket.ask(1, limit, now=51).granted == 1


@pytest.mark.parametrize(
    ("events_per_minute", "chunk"), [(60, 1), (600, 10), (6000, 50), (60_000, 50), (600_000, 500)]
)
def test_a_chunk_is_a_small_part_of_the_rate_and_of_the_burst(events_per_minute, chunk):
    limit = per_minute(events_per_minute, 10)
    assert limit.chunk == chunk
    assert limit.chunk <= max(1, limit.burst / 10)
    # Asking no more often than allowed is enough to have the whole rate.
    assert limit.chunk >= min(limit.rate * ASKS_EVERY_S, 1)


def test_a_lease_is_spent_from_and_ends_by_itself():
    lease = Lease()
    assert not lease.take(1, 0.0)
    assert lease.renew(3, Answer(10), 0.0)
    assert lease.take(7, 0.5)
    assert not lease.take(1, 0.5)
    lease.renew(1, Answer(10), 0.5)
    assert not lease.take(1, 0.5 + LEASED_FOR_S)
    assert lease.left == 9  # to be handed back


def test_a_refused_process_knows_until_when_there_is_nothing():
    lease = Lease()
    assert not lease.renew(1, Answer(0, 2.0, 2.0), 10.0)
    assert lease.dry_until == 12.0
    lease.renew(1, Answer(0, 0.001, 0.001), 10.0)
    assert lease.dry_until == 10.0 + ASKS_EVERY_S
    lease.renew(500, Answer(0, 60.0, 0.0), 10.0)  # a batch was too much, one event is not
    assert lease.dry_until == 0.0
