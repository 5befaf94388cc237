"""Transactions and sessions on their way from an envelope to the room of telemetry."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.ingest import drain
from apps.ingest.models import EntryKind, InboxEntry, SetAside
from apps.telemetry.models import ActiveUserDay, RequestDay, RequestMinute, SessionHour
from tests.at_once import at_once
from tests.ingest.items import arrive, counts, make_items
from tests.ingest.wsgi import make_project

pytestmark = pytest.mark.django_db


def transaction(number=1, name="/api/journal/{id}", code=200, **facts):
    now = timezone.now().timestamp()
    return {"type": "transaction"}, {
        "event_id": f"{number:032x}", "type": "transaction", "transaction": name, "start_timestamp": now - 0.25,
        "timestamp": now, "transaction_info": {"source": "route"}, "user": {"id": number % 3},
        "contexts": {"trace": {"op": "http.server", "status": "ok"}, "response": {"status_code": code}},
        "spans": [{"op": "db", "description": "SELECT 1"}], **facts,
    }  # fmt: skip


def session(sid, status="ok", seq=0, **facts):
    now = timezone.now().isoformat()
    return {"type": "session"}, {
        "sid": sid, "did": "17", "seq": seq, "status": status, "started": now, "timestamp": now,
        "attrs": {"release": "1.0", "environment": "live"}, **facts,
    }  # fmt: skip


def test_transactions_are_counted_and_timed_by_their_endpoint():
    arrive(make_project(), transaction(1), transaction(2, code=500), transaction(3, name="/other"))
    rows = {d.endpoint: (d.n, d.failed, d.timed) for d in RequestDay.objects.all()}
    assert rows == {"/api/journal/{id}": (2, 1, 2), "/other": (1, 0, 1)}
    assert counts() == {("transaction", "stored"): 3}
    assert ActiveUserDay.objects.count() == 3


def test_a_transaction_that_comes_again_is_a_duplicate():
    project = make_project()
    one = transaction()
    arrive(project, one, one)
    arrive(project, one)
    assert RequestDay.objects.get().n == 1
    assert counts() == {("transaction", "stored"): 1, ("transaction", "duplicate"): 2}


def test_a_transaction_without_an_id_has_the_envelopes():
    project, one = make_project(), transaction(event_id=None)
    for event_id in ("b" * 32, "b" * 32, "c" * 32):
        arrive(project, one, event_id=event_id)
    assert RequestDay.objects.get().n == 2
    assert counts() == {("transaction", "stored"): 2, ("transaction", "duplicate"): 1}


def test_a_session_is_counted_once_under_its_latest_status():
    project, sid = make_project(), str(uuid4())
    started = timezone.now().isoformat()
    arrive(project, session(sid, started=started))
    arrive(project, session(sid, "crashed", seq=2, started=started, errors=1))
    arrive(project, session(sid, "ok", seq=1, started=started, errors=1))
    hour = SessionHour.objects.get()
    assert (hour.healthy, hour.errored, hour.crashed, hour.release) == (0, 0, 1, "1.0")
    assert counts() == {("session", "stored"): 3}


def test_sessions_that_a_server_counted_are_added_and_late_buckets_are_said():
    now = timezone.now()
    item = (
        {"type": "sessions"},
        {
            "attrs": {"release": "1.0"},
            "aggregates": [
                {"started": now.isoformat(), "exited": 7, "crashed": 1},
                {"started": (now - timedelta(hours=90)).isoformat(), "exited": 5},
            ],
        },
    )
    arrive(make_project(), item)
    hour = SessionHour.objects.get()
    assert (hour.healthy, hour.crashed) == (7, 1)
    assert counts() == {("sessions", "stored"): 1, ("sessions", "late"): 1}


def test_a_session_that_began_too_long_ago_is_late():
    old = (timezone.now() - timedelta(hours=90)).isoformat()
    arrive(make_project(), session(str(uuid4()), started=old))
    assert not SessionHour.objects.exists()
    assert counts() == {("session", "late"): 1}


def test_what_is_wrong_is_set_aside_and_its_neighbours_are_stored():
    arrive(
        make_project(),
        ({"type": "transaction"}, b"[]"),
        transaction(),
        session("no id"),
        session(str(uuid4())),
        ({"type": "sessions"}, {"aggregates": 7}),
    )
    aside = sorted(SetAside.objects.values_list("kind", "field"))
    assert aside == [("session", "sid"), ("sessions", "aggregates"), ("transaction", "transaction")]
    assert RequestDay.objects.get().n == SessionHour.objects.get().healthy == 1


def test_whoever_met_an_error_was_active():
    event = {
        "event_id": "a" * 32,
        "message": "no",
        "timestamp": timezone.now().timestamp(),
        "user": {"id": 7},
    }
    arrive(make_project(), ({"type": "event"}, event), transaction(1, user={"id": 7}))
    assert ActiveUserDay.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_drains_at_once_count_everything_once():
    project = make_project()
    for number in range(700):
        started = timezone.now().isoformat()
        sid = f"{number % 50 + 1:032x}"
        counted = (
            {"type": "sessions"},
            {"attrs": {"release": "2.0"}, "aggregates": [{"started": started, "exited": 1}]},
        )
        body = make_items(
            transaction(number, name=f"/{number % 7}"),
            session(sid, seq=number // 50, started=f"{timezone.now():%Y-%m-%d}T00:00:00Z"),
            counted,
        )
        InboxEntry.objects.create(
            received_at=timezone.now(), project_id=project.pk, kind=EntryKind.ENVELOPE, body=body, context={}
        )
    at_once(2, lambda slot: drain.drain(now=timezone.now(), slot=slot + 1))
    drain.drain(now=timezone.now(), slot=1)
    assert not InboxEntry.objects.exists()
    assert not SetAside.objects.exists()
    assert sum(RequestMinute.objects.values_list("n", flat=True)) == 700
    assert dict(SessionHour.objects.values_list("release", "healthy")) == {"1.0": 50, "2.0": 700}


def test_a_transaction_that_makes_no_sense_at_all_is_still_counted_somewhere():
    odd = {
        name: json.loads("[{}, [], 7, null]")
        for name in ("transaction", "contexts", "user", "tags", "request")
    }
    arrive(make_project(), ({"type": "transaction"}, odd | {"timestamp": "x"}))
    day = RequestDay.objects.get()
    assert (day.endpoint, day.n, day.timed, day.kind) == ("(unnamed)", 0, 0, "other")
