"""The door for Alertmanager: what a group does, what replays do not do, and what is refused by name."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts.doors import occurrences
from apps.alerts.doors.alertmanager import read
from apps.alerts.doors.taking import take
from apps.alerts.models import Alert, Escalation, Integration, Occurrence
from apps.alerts.services import Act, acknowledge, resolve
from apps.incidents.models import Incident
from tests.alerts.doors.make import am_alert, am_body, make_integration, make_paging
from tests.alerts.make import NOW, at, make_component

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def send(client, key, *alerts, **facts):
    return client.post(
        f"/api/integrations/alertmanager/{key}/", am_body(*alerts, **facts), "application/json"
    )


def test_a_firing_alert_becomes_an_alert_that_pages_and_its_end_resolves_it(client):
    _, key = make_paging()
    answer = send(client, key, am_alert())
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"ok": True, "triggered": 1, "acknowledged": 0, "resolved": 0, "unchanged": 0}
    alert = Alert.objects.get()
    assert (alert.title, alert.sentence, alert.severity) == (
        "Errors are high",
        "7 % of requests fail",
        "critical",
    )
    assert alert.labels == {"alertname": "HighErrors", "severity": "critical"}
    assert Escalation.objects.get().state == "active" and Incident.objects.count() == 1
    assert send(client, key, am_alert("resolved", ends=5)).json()["resolved"] == 1
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_via) == ("resolved", "alertmanager")
    assert Escalation.objects.get().state == "stopped"


def test_each_alert_of_a_group_goes_by_itself_whatever_the_status_of_the_group(client):
    _, key = make_integration()
    send(client, key, am_alert(host="a"), am_alert(host="b"))
    send(client, key, am_alert("resolved", ends=5, host="a"), am_alert(host="b"), status="firing")
    assert set(Alert.objects.values_list("labels__host", "state")) == {("a", "resolved"), ("b", "triggered")}


def test_the_same_from_a_peer_counts_once_and_a_later_repetition_is_counted(client, frozen):
    _, key = make_integration()
    send(client, key, am_alert())
    assert send(client, key, am_alert()).json()["unchanged"] == 1
    frozen.shift(300)
    assert send(client, key, am_alert()).json()["triggered"] == 1
    assert Alert.objects.get().count == 2


STORY = [
    am_alert("firing", 0), am_alert("resolved", 0, 60), am_alert("firing", 100), am_alert("resolved", 100, 130),
    am_alert("firing", 200),
]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_replays_in_any_order_end_alike(order):
    integration, _ = make_integration()
    for index in [*order, *order]:
        events = read(am_body(STORY[index])).events
        take(integration=integration, events=events, now=at(300))
    assert Alert.objects.latest("pk").state == "triggered"
    assert Alert.objects.open().count() == 1
    held = Occurrence.objects.get()
    assert (held.starts_at, held.closed_at) == (at(200), None)


@given(st.permutations(STORY[:4]))
@settings(max_examples=24)
def test_what_has_ended_stays_ended_in_any_order(story):
    from django.db import transaction

    with transaction.atomic():
        integration, _ = make_integration()
        for body in story:
            take(integration=integration, events=read(am_body(body)).events, now=at(300))
        assert not Alert.objects.open().exists()
        transaction.set_rollback(True)


def test_an_end_that_comes_first_is_remembered_for_its_replay_and_not_for_ever(client, frozen):
    _, key = make_integration()
    assert send(client, key, am_alert("resolved", ends=5)).json()["unchanged"] == 1
    assert send(client, key, am_alert()).json()["unchanged"] == 1
    assert not Alert.objects.exists()
    # A sender that lost sight of a failure and found it again speaks of the old beginning.
    frozen.shift(occurrences.REPLAY_S + 1)
    assert send(client, key, am_alert()).json()["triggered"] == 1


def test_what_people_resolved_is_not_reopened_by_a_replay_but_by_what_goes_on_firing(client, frozen):
    _, key = make_integration()
    send(client, key, am_alert())
    resolve(alert=Alert.objects.get(), act=Act("alice", at(100)))
    frozen.move_to(at(120))
    assert send(client, key, am_alert()).json()["unchanged"] == 1
    frozen.move_to(at(600))
    assert send(client, key, am_alert()).json()["triggered"] == 1
    assert Alert.objects.open().count() == 1 and Alert.objects.count() == 2


def test_within_the_reopening_window_the_same_alert_fires_in_a_new_episode(client, frozen):
    _, key = make_paging(reopen_window_s=600)
    send(client, key, am_alert())
    acknowledge(alert=Alert.objects.get(), act=Act("alice", at(10)))
    send(client, key, am_alert("resolved", ends=20))
    frozen.move_to(at(300))
    send(client, key, am_alert(starts=290))
    alert = Alert.objects.get()
    assert (alert.state, alert.epoch, alert.acked_at, alert.resolved_at) == ("triggered", 2, None, None)
    assert set(Escalation.objects.values_list("epoch", "state")) == {(1, "stopped"), (2, "active")}
    send(client, key, am_alert("resolved", starts=290, ends=310))
    frozen.move_to(at(2000))
    send(client, key, am_alert(starts=1990))
    assert Alert.objects.count() == 2


def test_two_integrations_of_one_prefix_speak_of_the_same_alert_and_others_do_not(client):
    (_, one), (_, peer), (_, other) = (make_integration(dedup_prefix=p) for p in ("pair", "pair", ""))
    for key in (one, peer, other):
        assert send(client, key, am_alert()).status_code == 200
    assert Alert.objects.count() == 2


def test_words_of_the_sender_are_placed_by_the_integration(client):
    payments, journal = make_component("Payments"), make_component("Journal")
    _, key = make_paging(
        severity_map={"page": "critical", "ticket": "warning"}, component=journal, default_severity="info",
        pages_from="error",
    )  # fmt: skip
    rows = [("page", "payments"), ("ticket", "Payments"), ("none", "elsewhere"), ("SEV2", "journal")]
    for number, (word, service) in enumerate(rows):
        send(client, key, am_alert(severity=word, service=service, n=str(number)))
    found = list(Alert.objects.order_by("labels__n").values_list("severity", "component", "policy"))
    policy = Integration.objects.get().policy_id
    assert found == [
        ("critical", payments.pk, policy), ("warning", payments.pk, None), ("info", journal.pk, None),
        ("error", journal.pk, policy),
    ]  # fmt: skip


def test_an_alert_that_rises_to_a_severity_that_pages_pages():
    integration, _ = make_paging(kind="events_v2")
    from apps.alerts.doors.events import Event

    for word in ("info", "critical"):
        event = Event(verb="trigger", key="disk", title="Disk", severity=word)
        take(integration=integration, events=[event], now=NOW)
    assert (Escalation.objects.get().epoch, Escalation.objects.get().state) == (2, "active")


def test_alerts_that_were_left_out_are_told_and_their_absence_ends_nothing(client):
    integration, key = make_integration()
    send(client, key, am_alert(host="a"), am_alert(host="b"))
    answer = send(client, key, am_alert(host="a"), truncatedAlerts=3)
    assert "3 alerts were left out" in answer.json()["warning"]
    integration.refresh_from_db()
    assert integration.truncated == 3 and Alert.objects.open().count() == 2
    send(client, key, am_alert(host="a"))
    integration.refresh_from_db()
    assert integration.truncated == 0


def changed(path, value):
    body = am_body(am_alert())
    *way, last = path
    here = body
    for step in way:
        here = here[step]
    if value is KeyError:
        del here[last]
    else:
        here[last] = value
    return body


ALERT = ("alerts", 0)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("version",), "5", "version"), (("version",), KeyError, "version"), (("alerts",), KeyError, "alerts"),
        (("alerts",), {}, "alerts"), (("alerts",), [7], "alerts[0]"), ((*ALERT, "status"), "open", "alerts[0].status"),
        ((*ALERT, "status"), KeyError, "alerts[0].status"), ((*ALERT, "labels"), KeyError, "alerts[0].labels"),
        ((*ALERT, "labels"), {"a": 1}, "alerts[0].labels.a"), ((*ALERT, "startsAt"), "soon", "alerts[0].startsAt"),
        ((*ALERT, "startsAt"), KeyError, "alerts[0].startsAt"), ((*ALERT, "startsAt"), "9999-12-31T23:59:59-10:00",
         "alerts[0].startsAt"), ((*ALERT, "startsAt"), "2026-11-22T12:00:00", "alerts[0].startsAt"),
        ((*ALERT, "endsAt"), 5, "alerts[0].endsAt"), ((*ALERT, "annotations"), [1], "alerts[0].annotations"),
        (("truncatedAlerts",), -1, "truncatedAlerts"), (("truncatedAlerts",), True, "truncatedAlerts"),
        ((*ALERT, "fingerprint"), {}, "alerts[0].fingerprint"),
    ],
)  # fmt: skip
def test_a_payload_of_ones_own_is_refused_by_the_name_of_its_field_and_nothing_is_kept(
    client, path, value, field
):
    integration, key = make_integration()
    body = changed(path, value)
    answer = client.post(f"/api/integrations/alertmanager/{key}/", body, "application/json")
    assert answer.status_code == 400, answer.content
    assert answer.json()["details"][0]["field"] == field
    integration.refresh_from_db()
    assert integration.rejected == 1 and field in integration.last_rejection
    assert not Alert.objects.exists() and not Occurrence.objects.exists()


def test_keys_that_newer_releases_send_are_ignored(client):
    _, key = make_integration()
    assert send(client, key, am_alert(), notification_reason="new", routeLabels={"a": "b"}).status_code == 200


def test_a_missing_fingerprint_is_made_as_the_sender_makes_it():
    assert occurrences.fingerprint({}) == "cbf29ce484222325"
    assert occurrences.fingerprint({"alertname": "X"}) == "d2aeefc389ca7746"


def test_an_unknown_key_and_one_of_another_door_are_told_alike(client):
    _, other = make_integration("json")
    for key in ("0" * 32, other, "short"):
        answer = send(client, key, am_alert())
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_key")


def test_get_is_no_door(client):
    _, key = make_integration()
    answer = client.get(f"/api/integrations/alertmanager/{key}/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@given(
    known=st.tuples(st.integers(0, 9), st.booleans()),
    event=st.tuples(st.integers(0, 9), st.booleans()),
)
def test_an_older_occurrence_never_speaks(known, event):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    held = occurrences.Known(start + timedelta(seconds=known[0]), start, start if known[1] else None)
    said = occurrences.judge(held, starts_at=start + timedelta(seconds=event[0]), ended=event[1], now=start)
    assert (said == occurrences.OLD) or event[0] >= known[0]
    assert not (event[0] > known[0] and said == occurrences.OLD)
