"""Ticks: one lease, one outcome on record, and nothing raised."""

import threading
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.audit import services as audit
from apps.core import context, ticks
from apps.core.models import PartitionedTable, TickRun
from apps.core.owner import as_owner
from apps.core.ticks import Tick, TickReport
from reliability_portal.celery import TICKS
from tests.at_once import at_once

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
running = threading.Event()
may_end = threading.Event()
calls: list[tuple[datetime, int]] = []


def report_work(*, now, slot):
    calls.append((now, slot))
    return TickReport(said=f"slot {slot}", backlog=7, oldest_at=NOON, rejected=2)


def say_nothing(*, now, slot):
    return None


def break_with_hostile_bytes(*, now, slot):
    raise ValueError("bytes \0 and \ud83d in the middle")


def break_the_connection(*, now, slot):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def wait_to_be_let_go(*, now, slot):
    running.set()
    assert may_end.wait(20)
    return TickReport(said="finished late", backlog=99)


def write_two_audit_events(*, now, slot):
    audit.record("probe.first")
    audit.record("probe.second")


def make_tick(function=report_work, **facts):
    return Tick("test.tick", facts.pop("every_s", 10), f"{__name__}.{function.__name__}", **facts)


@pytest.fixture(autouse=True)
def the_table():
    """The table of ticks holds what a test puts there, and afterwards what it held before."""
    before = dict(ticks.table.ticks)
    calls.clear()
    running.clear()
    may_end.clear()
    yield ticks.table
    ticks.table.fill(before.values())


def run(tick, slot=0, now=NOON):
    ticks.table.fill([tick])
    return ticks.run(tick.name, slot, now)


@pytest.mark.django_db
def test_a_run_is_told_when_and_which_slot_and_its_report_is_kept():
    ran = run(make_tick(slots=2), slot=1)
    assert (ran.ran, ran.ok, ran.report.said) == (True, True, "slot 1")
    assert calls == [(NOON, 1)]
    row = TickRun.objects.get(name="test.tick", slot=1)
    assert (row.said, row.backlog, row.oldest_at, row.rejected) == ("slot 1", 7, NOON, 2)
    assert (row.runs, row.failures, row.started_at, row.every_s) == (1, 0, NOON, 10)
    assert row.lease_token is None
    assert row.lease_until is None
    assert row.succeeded_at == row.finished_at >= row.created_at


@pytest.mark.django_db
def test_rejected_pieces_add_up_over_runs_and_the_backlog_is_the_last_one():
    run(make_tick())
    run(make_tick())
    row = TickRun.objects.get()
    assert (row.runs, row.rejected, row.backlog) == (2, 4, 7)


@pytest.mark.django_db
def test_a_run_without_a_report_clears_the_last_one():
    run(make_tick())
    run(make_tick(say_nothing))
    row = TickRun.objects.get()
    assert (row.said, row.backlog, row.oldest_at) == ("", 0, None)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_takes_the_lease():
    ticks.table.fill([make_tick(wait_to_be_let_go)])

    def attempt(number):
        if number:  # the others come while the first is at work
            assert running.wait(20)
            ran = ticks.run("test.tick")
            if others.release() is None and others._value == 5:
                may_end.set()
            return ran
        return ticks.run("test.tick")

    others = threading.Semaphore(0)
    outcomes = at_once(6, attempt)
    assert [o.ran for o in outcomes] == [True, False, False, False, False, False]
    assert {o.report.said for o in outcomes[1:]} == {"another run holds the lease"}
    assert TickRun.objects.get().runs == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_that_ask_in_the_same_moment_exactly_one_is_given_the_lease():
    tick = make_tick()
    tokens = at_once(8, lambda _: ticks._take_lease(tick, 0, NOON))
    given = [t for t in tokens if t]
    assert len(given) == 1
    assert TickRun.objects.get().lease_token == given[0]


@pytest.mark.django_db
def test_slots_of_one_tick_hold_leases_of_their_own():
    tick = make_tick(slots=2)
    assert ticks._take_lease(tick, 0, NOON)
    assert ticks._take_lease(tick, 1, NOON)
    assert ticks._take_lease(tick, 0, NOON) is None


@pytest.mark.django_db(transaction=True)
def test_an_expired_lease_is_taken_over_and_the_late_finisher_changes_nothing():
    ticks.table.fill([make_tick(wait_to_be_let_go)])
    late = threading.Thread(target=lambda: at_once(1, lambda _: ticks.run("test.tick")))
    late.start()
    assert running.wait(20)
    TickRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    ticks.table.fill([make_tick(report_work)])
    assert ticks.run("test.tick").report.said == "slot 0"
    kept = TickRun.objects.values().get()
    may_end.set()
    late.join(20)
    assert TickRun.objects.values().get() == kept
    assert kept["said"] == "slot 0"


@pytest.mark.django_db
def test_a_failure_is_kept_with_what_the_last_good_run_left_and_the_lease_is_free_again():
    run(make_tick())
    good = TickRun.objects.get()
    ran = run(make_tick(break_with_hostile_bytes))
    assert (ran.ran, ran.ok) == (True, False)
    row = TickRun.objects.get()
    assert row.last_error == "ValueError: bytes \ufffd and \ufffd in the middle"
    assert (row.runs, row.failures, row.lease_token) == (2, 1, None)
    assert row.succeeded_at == good.succeeded_at
    assert run(make_tick()).ok
    assert TickRun.objects.get().last_error == ""


@pytest.mark.django_db(transaction=True)
def test_a_tick_that_loses_its_connection_is_recorded_over_a_new_one():
    ran = run(make_tick(break_the_connection))
    assert (ran.ran, ran.ok) == (True, False)
    row = TickRun.objects.get()
    assert "terminating connection" in row.last_error
    assert row.lease_token is None


@pytest.mark.django_db
def test_all_that_one_run_writes_carries_one_request_id_and_the_name_of_the_tick():
    run(make_tick(write_two_audit_events))
    first, second = audit.AuditEvent.objects.order_by("id")
    assert first.request_id == second.request_id != ""
    assert (first.actor_type, first.actor_id, first.actor_label) == ("system", "test.tick", "tick test.tick")
    assert context.current().actor_label == "system"


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "slot"), [("test.other", 0), ("test.tick", 1), ("test.tick", -1)])
def test_names_and_slots_that_nobody_listed_are_refused_and_leave_no_row(name, slot):
    ticks.table.fill([make_tick()])
    with pytest.raises(LookupError):
        ticks.run(name, slot)
    assert not TickRun.objects.exists()


@pytest.mark.django_db
def test_rows_of_ticks_and_slots_that_are_no_more_are_forgotten():
    for slot in range(3):
        run(make_tick(slots=3), slot=slot)
    TickRun.objects.create(name="test.gone", every_s=1)
    ticks.table.fill([make_tick(slots=2)])
    ticks.forget_unknown()
    assert list(TickRun.objects.values_list("name", "slot")) == [("test.tick", 0), ("test.tick", 1)]


@pytest.mark.django_db
def test_a_process_that_knows_no_ticks_forgets_none():
    run(make_tick())
    ticks.table.fill([])
    ticks.forget_unknown()
    assert TickRun.objects.count() == 1


@pytest.mark.parametrize(
    ("every_s", "created_ago", "succeeded_ago", "late"),
    [
        (10, 500, 0, 0),
        (10, 500, 30, 0),
        (10, 500, 31, 1),
        (1, 500, 15, 0),  # short periods get fifteen seconds
        (1, 500, 16, 1),
        (3600, 99_999, 10_801, 1),
        (10, 20, None, 0),  # not yet succeeded, and still in time for that
        (10, 90, None, 60),
        (10, 500, -100, 0),  # another host's clock is ahead
    ],
)
def test_lateness_counts_from_the_last_success_or_from_the_first_try(
    every_s, created_ago, succeeded_ago, late
):
    run_ = TickRun(name="x", every_s=every_s, created_at=NOON - timedelta(seconds=created_ago))
    if succeeded_ago is not None:
        run_.succeeded_at = NOON - timedelta(seconds=succeeded_ago)
    assert run_.late_s(NOON) == late


@pytest.mark.django_db
def test_ready_is_503_until_a_tick_ran_and_while_one_is_late(client):
    answer = client.get("/api/ready")
    assert (answer.status_code, answer.json()["ticks"]) == (503, 0)
    run(make_tick(), now=timezone.now())
    answer = client.get("/api/ready/")
    assert (answer.status_code, answer.json()["status"], answer.json()["late"]) == (200, "pass", {})
    TickRun.objects.update(succeeded_at=timezone.now() - timedelta(seconds=100))
    answer = client.get("/api/ready")
    assert answer.status_code == 503
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["late"]["test.tick"] in range(70, 80)


def test_live_needs_no_database(client):
    """Without the database mark a query would raise."""
    assert client.get("/api/live").json() == {"status": "pass"}


def tick_command(*names):
    out = StringIO()
    call_command("tick", *names, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_runs_one_tick_and_says_what_it_did():
    ticks.table.fill(TICKS)
    said = tick_command("core.partitions")
    assert said.startswith("core.partitions")
    assert "0 dropped" in said
    assert list(TickRun.objects.values_list("name", "runs")) == [("core.partitions", 1)]


@pytest.mark.django_db
def test_the_command_refuses_an_unknown_name_and_lists_the_known_ones():
    with pytest.raises(CommandError, match=r"No such tick: core.nothing\. There are: .*core\.partitions"):
        tick_command("core.partitions", "core.nothing")
    assert not TickRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_when_a_tick_failed_and_names_it():
    """CommandError is exit code 1: cron can tell."""
    ticks.table.fill(TICKS)
    with as_owner():
        PartitionedTable.objects.create(name="core_missing", span="day")
    try:
        with pytest.raises(CommandError, match=r"Failed: core\.partitions\.") as failed:
            tick_command("core.partitions")
        assert failed.value.returncode == 1
        assert "core_missing" in TickRun.objects.get(name="core.partitions").last_error
    finally:
        with as_owner():
            PartitionedTable.objects.filter(name="core_missing").delete()


def test_every_tick_of_the_table_has_a_name_of_its_own_a_period_and_a_queue():
    assert len({tick.name for tick in TICKS}) == len(TICKS)
    for tick in TICKS:
        assert tick.every_s > 0 < tick.lease_s
        assert tick.queue in ("fast", "slow", ticks.OWN)
        room = tick.call.split(".")[1]
        assert tick.name.split(".")[0] == room
