"""What all doors share: overload, keys and their rotation, and that nothing a sender writes makes a 500."""

import json
import threading

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.alerts.doors import sliding, views
from apps.alerts.doors.keys import make_key, revoke_keys
from apps.alerts.doors.taking import forget_occurrences
from apps.alerts.models import Alert, IntegrationKey, Occurrence
from apps.audit.models import AuditEvent
from tests.alerts.doors.make import am_alert, am_body, make_integration, pd_event
from tests.alerts.make import NOW, at, make_user
from tests.conftest import CI

MANY = 5000 if CI else 1000


def knock(client, key, body):
    return client.post(f"/api/integrations/alertmanager/{key}/", body, "application/json")


# --- Overload ---------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_when_every_place_is_taken_the_sender_is_asked_to_come_again(client, monkeypatch):
    _, key = make_integration()
    _, routing = make_integration("events_v2")
    monkeypatch.setattr(views, "PATIENCE_S", 0.01)
    for _ in range(views.AT_ONCE):
        assert views._places.acquire(timeout=1)
    try:
        event = client.post("/v2/enqueue", pd_event(routing), "application/json")
        refused = [knock(client, key, am_body(am_alert())), event]
    finally:
        for _ in range(views.AT_ONCE):
            views._places.release()
    assert [(answer.status_code, answer["Retry-After"]) for answer in refused] == [(503, "15"), (503, "15")]
    assert refused[0].json()["code"] == "database_connection" and refused[1].json()["status"] == "unavailable"
    assert not Alert.objects.exists()
    assert knock(client, key, am_body(am_alert())).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_is_503_and_the_retry_goes_on_where_it_was(client, monkeypatch):
    from apps.alerts.doors import taking

    monkeypatch.setattr(taking, "LOCK_MS", 50)
    _, key = make_integration()
    knock(client, key, am_body(am_alert(host="b")))
    Occurrence.objects.update(heard_at=at(-3600))
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(Occurrence.objects.select_for_update())
            held.set()
            done.wait(20)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    try:
        answer = knock(client, key, am_body(am_alert(host="b"), am_alert(host="c")))
    finally:
        done.set()
        holder.join()
    assert (answer.status_code, answer["Retry-After"]) == (503, "15")
    assert knock(client, key, am_body(am_alert(host="b"), am_alert(host="c"))).status_code == 200
    assert Alert.objects.open().count() == 2


@pytest.mark.django_db
def test_a_large_group_is_taken_in_several_comings_each_of_which_gets_further(client, monkeypatch):
    from apps.alerts.doors import taking

    monkeypatch.setattr(taking, "BUDGET_S", 0.0)
    _, key = make_integration()
    group = am_body(*(am_alert(host=str(n)) for n in range(4)))
    said, counted = [], []
    for _ in range(5):
        said.append(knock(client, key, group).status_code)
        counted.append(Alert.objects.count())
        Occurrence.objects.update(heard_at=at(-3600))  # as if the sender took its time
    assert (said, counted) == ([503] * 5, [1, 2, 3, 4, 4])
    monkeypatch.undo()
    assert knock(client, key, group).status_code == 200


@pytest.mark.django_db
def test_alertmanager_over_its_limit_is_told_503_since_it_gives_up_on_429(client):
    _, key = make_integration(limit_per_minute=1)
    said = [knock(client, key, am_body(am_alert())) for _ in range(2)]
    assert [answer.status_code for answer in said] == [200, 503]
    assert 1 <= int(said[1]["Retry-After"]) <= 60


# --- The limit --------------------------------------------------------------------------------------------
@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=80), st.integers(1, 10))
def test_no_sixty_seconds_ever_hold_more_than_the_limit_and_a_wait_is_enough(times, limit):
    recent, passed = [], []
    for now in sorted(times):
        recent, wait_s = sliding.take(recent, now=now, limit=limit)
        if not wait_s:
            passed.append(now)
        else:
            assert sliding.take(recent, now=now + wait_s * 1000, limit=limit)[1] == 0
    for index, begun in enumerate(passed):
        assert sum(begun <= at_ms < begun + 60_000 for at_ms in passed[index:]) <= limit


# --- Keys -------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_rotated_key_works_until_its_end_and_only_digests_are_kept(client):
    alice = make_user("alice")
    with time_machine.travel(NOW, tick=False) as clock:
        integration, old = make_integration()
        new = make_key(integration=integration, now=NOW, overlap_days=1, actor=alice)
        assert [knock(client, key, am_body(am_alert())).status_code for key in (old, new)] == [200, 200]
        clock.move_to(at(86_400))
        assert [knock(client, key, am_body(am_alert())).status_code for key in (old, new)] == [404, 200]
        revoke_keys(integration=integration, now=at(86_400), actor=alice)
        assert knock(client, new, am_body(am_alert())).status_code == 404
        with pytest.raises(ValidationError):
            revoke_keys(integration=integration, now=at(86_400))
    kept = json.dumps([[str(v) for v in row] for row in IntegrationKey.objects.values_list()])
    assert old not in kept and new not in kept
    told = AuditEvent.objects.filter(action__startswith="integration.")
    assert [event.action for event in told.order_by("id")] == ["integration.key"] * 2 + ["integration.revoke"]
    assert all(new not in str(event.details) for event in told)


@pytest.mark.django_db
def test_occurrences_that_nobody_speaks_of_are_forgotten(client):
    with time_machine.travel(NOW, tick=False):
        _, key = make_integration()
        knock(client, key, am_body(am_alert(host="a"), am_alert(host="b")))
    Occurrence.objects.filter(key=Occurrence.objects.first().key).update(heard_at=at(-31 * 86_400))
    assert forget_occurrences(now=NOW) == 1 and Occurrence.objects.count() == 1


# --- Never a 500 ------------------------------------------------------------------------------------------
NASTY = ("\0", "\ud800", "4", "firing", "0001-01-01T00:00:00Z", "9" * 400, "{{7*7}}")
TEXT = st.text(max_size=20) | st.sampled_from(NASTY)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WAYS = st.lists(st.sampled_from(range(12)), min_size=1, max_size=3)


def spoiled(body, changes):
    """The body with values replaced, put in or taken out at places that the numbers choose."""
    body = json.loads(json.dumps(body))
    for way, name, value in changes:
        here = body
        for number in way:
            inner = [
                v
                for v in (here.values() if isinstance(here, dict) else here)
                if isinstance(v, dict | list) and v
            ]
            if not inner:
                break
            here = inner[number % len(inner)]
        if isinstance(here, dict):
            key = sorted(here)[way[0] % len(here)] if way[0] % 2 else name
            here[key] = value
        else:
            here[way[0] % len(here)] = value
    return body


CHANGES = st.lists(st.tuples(WAYS, TEXT, VALUE), min_size=1, max_size=3)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["alertmanager", "events_v2", "json"])
def test_no_door_ever_answers_500(kind):
    mapping = {"title": "a.title", "key": "a.key", "state": "a.state", "severity": "b.0"}
    _, key = make_integration(kind, limit_per_minute=10**6, mapping=mapping)
    bodies = {
        "alertmanager": am_body(am_alert(), am_alert("resolved", ends=3, host="b")),
        "events_v2": pd_event(key, links=[{"href": "http://a.example.org"}], images=[]),
        "json": {"a": {"title": "t", "key": "k", "state": "open"}, "b": ["high"]},
    }
    address = "/v2/enqueue" if kind == "events_v2" else f"/api/integrations/{kind}/{key}/"
    client = Client(raise_request_exception=False)
    seen = set()

    @given(CHANGES)
    @settings(max_examples=MANY // 3, suppress_health_check=list(HealthCheck))
    def fuzz(changes):
        with transaction.atomic():
            raw = json.dumps(spoiled(bodies[kind], changes))
            answer = client.post(address, raw.encode("utf-8", "surrogatepass"), "application/json")
            seen.add(answer.status_code)
            assert answer.status_code in (200, 202, 400, 413), (answer.status_code, raw)
            transaction.set_rollback(True)

    fuzz()
    assert {400} < seen, "the fuzz reaches both what is taken and what is refused"


@pytest.mark.django_db
@given(st.binary(max_size=200))
@settings(max_examples=MANY // 10, suppress_health_check=list(HealthCheck))
def test_bytes_of_any_kind_are_refused(raw):
    client = Client(raise_request_exception=False)
    with transaction.atomic():
        _, key = make_integration()
        for url in (f"/api/integrations/alertmanager/{key}/", "/v2/enqueue", "/v2/change/enqueue"):
            assert client.post(url, raw, "application/json").status_code == 400
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_a_tick_forgets_what_is_over_for_long(client):
    from apps.alerts.tasks import retain

    with time_machine.travel(NOW, tick=False):
        _, key = make_integration()
        knock(client, key, am_body(am_alert()))
    assert retain(now=at(86_400), slot=0).said == "0 occurrences and 0 links forgotten"
    assert retain(now=at(86_400 * 40), slot=0).said == "1 occurrences and 0 links forgotten"
