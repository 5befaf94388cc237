"""A process that stays with a tick: one lease, renewed while it is held, and a database that may go away."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.core import ticks
from apps.core.models import TickRun
from apps.core.ticks import OWN, Tick, TickReport
from tests.at_once import at_once
from tests.core.processes import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
left: list[int] = []


def take_three(*, now, slot):
    """Three pieces at a time of what is left."""
    done, left[:] = left[:3], left[3:]
    oldest = NOON if left else None
    return TickReport(
        said=f"{len(done)} done", backlog=len(left), oldest_at=oldest, pieces=len(done), more=bool(left), rejected=1
    )  # fmt: skip


def stumble(*, now, slot):
    left.pop()
    raise ValueError("stumbled")


@pytest.fixture
def table(monkeypatch):
    """Seconds that last a moment, so that nobody waits for them."""
    before = dict(ticks.table.ticks)
    monkeypatch.setattr(ticks, "_RENEW_EVERY_S", 0.02)
    monkeypatch.setattr(ticks, "_REST_S", 0.001)
    monkeypatch.setattr(ticks, "_REST_AFTER_FAILURE_S", 0.001)
    yield ticks.table
    ticks.table.fill(before.values())


def fill(table, function=take_three, **facts):
    table.fill([Tick("test.tick", 1, f"{__name__}.{function.__name__}", OWN, **facts)])


def until_nothing_is_left():
    return bool(left)


def test_it_runs_again_and_again_and_the_row_says_how_it_goes(table):
    fill(table)
    left[:] = range(10)
    ran = ticks.stay("test.tick", 0, until_nothing_is_left)
    assert (ran.ok, left) == (True, [])
    row = TickRun.objects.get()
    assert (row.backlog, row.oldest_at, row.failures, row.lease_token) == (0, None, 0, None)
    assert row.rejected == 4  # one for each of the four runs, in however many seconds
    assert row.runs >= 1


def test_what_was_done_in_a_second_adds_up_and_what_is_left_is_the_last_word():
    busy = TickReport(said="5 stored", backlog=3, oldest_at=NOON, rejected=2, pieces=5, more=True)
    idle = TickReport(said="0 stored")
    both = busy.then(idle)
    assert (both.said, both.pieces, both.rejected) == ("5 stored", 5, 2)
    assert (both.backlog, both.oldest_at, both.more) == (0, None, False)
    assert busy.then(TickReport(said="1 stored", pieces=1)).said == "1 stored"


def test_without_resting_it_ends_when_nothing_is_left(table):
    fill(table)
    left[:] = range(10)
    ran = ticks.stay("test.tick", 0, lambda: True, resting=False)
    assert (left, ran.report.more) == ([], False)
    assert TickRun.objects.get().lease_token is None


def test_its_lease_is_renewed_and_keeps_others_out(table):
    fill(table, lease_s=3600)
    TickRun.objects.create(name="test.tick", every_s=1)
    go, seen = threading.Event(), []

    def hold_or_look(number):
        if number == 0:
            return ticks.stay("test.tick", 0, lambda: not go.is_set())
        while len(set(seen)) < 3:
            row = TickRun.objects.get()
            seen.extend([row.lease_until] if row.lease_until else [])
        other = ticks.stay("test.tick", 0, lambda: True)
        go.set()
        return other

    holder, other = at_once(2, hold_or_look)
    assert (holder.ran, other.ran) == (True, False)
    assert sorted(set(seen)) == list(dict.fromkeys(seen))


def test_one_that_lost_its_lease_stops(table):
    fill(table, lease_s=3600)
    left[:] = range(10**6)

    def rob():
        TickRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert ticks.run("test.tick").ran
        return True

    ran = ticks.stay("test.tick", 0, rob)
    assert ran.ran
    assert TickRun.objects.get().lease_token is None


def test_a_failing_run_is_recorded_and_the_next_one_comes(table):
    fill(table, stumble)
    left[:] = [1, 2, 3]
    ran = ticks.stay("test.tick", 0, until_nothing_is_left)
    assert (ran.ok, ran.error) == (False, "ValueError: stumbled")
    row = TickRun.objects.get()
    assert (row.failures, row.last_error, row.succeeded_at) == (3, "ValueError: stumbled", None)


@pytest.mark.parametrize(("name", "slot"), [("test.other", 0), ("test.tick", 1)])
def test_a_slot_that_nobody_listed_is_refused(table, name, slot):
    fill(table)
    with pytest.raises(LookupError):
        ticks.stay(name, slot, lambda: True)
    assert not TickRun.objects.exists()


def test_the_command_refuses_a_slot_that_is_not_there():
    done = subprocess.run(
        [sys.executable, "manage.py", "attend", "ingest.drain", "99"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "ingest.drain has the slots 0 to" in done.stderr
