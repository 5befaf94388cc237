"""The door that speaks PagerDuty's Events v2, in its own answers."""

import pytest
import time_machine

from apps.alerts.models import Alert, Escalation, Integration, Page
from apps.alerts.services import Act, acknowledge
from apps.incidents.models import Incident, TimelineEntry
from tests.alerts.doors.make import make_integration, make_paging, pd_event
from tests.alerts.make import NOW, at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def send(client, body, to="/v2/enqueue"):
    return client.post(to, body, "application/json")


def test_trigger_acknowledge_and_resolve_have_the_answers_that_senders_know(client):
    _, key = make_paging("events_v2")
    for action, state in (("trigger", "triggered"), ("acknowledge", "acknowledged"), ("resolve", "resolved")):
        answer = send(client, pd_event(key, action))
        assert answer.status_code == 202
        assert answer.json() == {"status": "success", "message": "Event processed", "dedup_key": "db-1"}
        assert Alert.objects.get().state == state
    assert Escalation.objects.get().state == "stopped"


def test_a_trigger_says_what_it_carries(client):
    _, key = make_integration("events_v2")
    payload = {
        "summary": "Disk full", "source": "db-1", "severity": "warning", "component": "postgres", "group": "prod",
        "class": "disk", "timestamp": "2026-11-22T11:59:00Z", "custom_details": {"free": 0, "path": "/var"},
    }  # fmt: skip
    assert (
        send(
            client, pd_event(key, payload=payload, client="Nagios", client_url="https://n.example.org/1")
        ).status_code
        == 202
    )
    alert = Alert.objects.get()
    assert (alert.title, alert.severity) == ("Disk full", "warning")
    assert alert.sentence.splitlines() == ["From db-1.", "free: 0", "path: /var"]
    assert alert.labels == {
        "source": "db-1", "component": "postgres", "group": "prod", "class": "disk", "client": "Nagios",
    }  # fmt: skip


def test_a_trigger_on_what_is_open_or_taken_pages_nobody_again(client):
    _, key = make_paging("events_v2")
    send(client, pd_event(key))
    send(client, pd_event(key))
    acknowledge(alert=Alert.objects.get(), act=Act("alice", at(1)))
    send(client, pd_event(key))
    alert = Alert.objects.get()
    assert (alert.state, alert.epoch, alert.count) == ("acknowledged", 1, 3)
    assert Escalation.objects.count() == 1


def test_a_trigger_on_what_is_resolved_is_a_new_alert(client):
    _, key = make_integration("events_v2")
    for action in ("trigger", "resolve", "trigger"):
        send(client, pd_event(key, action))
    assert sorted(Alert.objects.values_list("state", flat=True)) == ["resolved", "triggered"]
    assert set(Alert.objects.values_list("epoch", flat=True)) == {1}


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_an_act_on_nothing_open_is_accepted_and_dropped(client, action):
    _, key = make_integration("events_v2")
    assert send(client, pd_event(key, action, "other")).status_code == 202
    assert not Alert.objects.exists()


def test_without_a_key_of_its_own_each_trigger_is_an_alert_and_gets_one(client):
    _, key = make_integration("events_v2")
    first, second = (send(client, pd_event(key, dedup=None)).json()["dedup_key"] for _ in range(2))
    assert first != second and Alert.objects.count() == 2
    send(client, pd_event(key, "resolve", first))
    assert Alert.objects.open().count() == 1


def test_long_keys_that_begin_alike_do_not_fall_together(client):
    _, key = make_integration("events_v2", dedup_prefix="a-prefix")
    for end in "ab":
        assert send(client, pd_event(key, dedup="x" * 254 + end)).status_code == 202
    assert Alert.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"event_action": "close"}, "event_action"), ({"dedup_key": "x" * 256}, "dedup_key"),
        ({"dedup_key": 5}, "dedup_key"), ({"payload": None}, "payload"), ({"payload": []}, "payload"),
        ({"payload": {"source": "a", "severity": "info"}}, "payload.summary"),
        ({"payload": {"summary": "a", "severity": "info"}}, "payload.source"),
        ({"payload": {"summary": "a", "source": "b", "severity": "SEV1"}}, "payload.severity"),
        ({"payload": {"summary": "a", "source": "b", "severity": ["info"]}}, "payload.severity"),
        ({"payload": {"summary": "a", "source": "b", "severity": "info", "timestamp": "x"}}, "payload.timestamp"),
        ({"payload": {"summary": "a", "source": "b", "severity": "info", "group": {}}}, "payload.group"),
        ({"event_action": "resolve", "dedup_key": None}, "dedup_key"), ({"routing_key": ""}, "routing_key"),
        ({"routing_key": "0" * 32}, "routing_key"), ({"routing_key": 7}, "routing_key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_the_form_that_senders_know(client, changes, said):
    _, key = make_integration("events_v2")
    answer = send(client, pd_event(key) | changes)
    assert answer.status_code == 400
    body = answer.json()
    assert body["status"] == "invalid event" and body["message"]
    assert any(f"'{said}'" in error for error in body["errors"])
    assert not Alert.objects.exists()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"x"', b"null", b"[1]", b"\xff\xfe"])
def test_what_is_no_event_is_refused(client, raw):
    answer = client.post("/v2/enqueue", raw, "application/json")
    assert answer.status_code == 400 and answer.json()["status"] == "invalid event"


def test_more_than_512_kb_is_too_much(client):
    _, key = make_integration("events_v2")
    details = {"custom_details": {"log": "x" * 530_000}, "summary": "a", "source": "b", "severity": "info"}
    answer = send(client, pd_event(key, payload=details))
    assert answer.status_code == 413 and answer.json()["status"] == "invalid event"


def test_the_limit_slides_answers_429_and_tells_the_owner_once(client, frozen):
    integration, key = make_paging("events_v2", limit_per_minute=3)
    said = []
    for seconds in (0, 10, 20, 30, 35, 61, 62):
        frozen.move_to(at(seconds))
        said.append(send(client, pd_event(key)))
    assert [answer.status_code for answer in said] == [202, 202, 202, 429, 429, 202, 429]
    assert (said[3].json()["status"], said[3]["Retry-After"]) == ("throttle exceeded", "30")
    integration.refresh_from_db()
    assert (integration.received, integration.throttled) == (7, 3)
    notices = Page.objects.filter(escalation=None, key__startswith="limited-")
    assert [page.subject for page in notices] == [f"[LIMITED] {integration.name}"]


def test_a_change_is_context_and_pages_nobody(client):
    _, key = make_paging("events_v2")
    body = {"routing_key": key, "payload": {"summary": "Deployed 4.2", "source": "ci"}}
    assert send(client, body, "/v2/change/enqueue").json() == {
        "status": "success",
        "message": "Change event processed",
    }
    assert not TimelineEntry.objects.exists()
    send(client, pd_event(key))
    send(client, body, "/v2/change/enqueue")
    entry = TimelineEntry.objects.get(incident=Incident.objects.get(), action="change")
    assert entry.text == "Change: Deployed 4.2 (ci)"
    assert Alert.objects.count() == 1
    for payload in (None, {}, {"summary": " "}, {"summary": "a", "source": 3}):
        assert send(client, {"routing_key": key, "payload": payload}, "/v2/change/enqueue").status_code == 400


def test_a_switched_off_integration_takes_nothing(client):
    _, key = make_integration("events_v2")
    Integration.objects.update(enabled=False)
    assert send(client, pd_event(key)).status_code == 400
