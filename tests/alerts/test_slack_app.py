"""The Slack app: messages that change when somebody acts, and presses of its buttons, signed, forged and repeated."""

import json
import time
from datetime import datetime
from urllib.parse import urlencode

import pytest
from django.test import Client

from apps.alerts import paging, sending, services
from apps.alerts.models import Alert, Attempt, Page, SlackPerson
from apps.alerts.services import Act
from apps.alerts.slack.signature import is_signed
from apps.audit.models import AuditEvent
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy
from tests.alerts.receivers import Receiver
from tests.people import make_person

pytestmark = pytest.mark.django_db
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
DOOR = "/api/integrations/slack/interactive"


@pytest.fixture(autouse=True)
def app_is_set_up(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.SLACK_SIGNING_SECRET = SECRET
    settings.SITE_URL = "https://portal.example.org"


def ok(ts):
    return 200, {}, json.dumps({"ok": True, "channel": "C1", "ts": ts}).encode()


def post_to_slack(settings, *answers):
    """One alert paged to a Slack channel, acknowledged and resolved; what Slack was asked."""
    channel = make_channel("slack_app", "C1", "xoxb-1")
    with Receiver(*answers) as slack:
        settings.SLACK_API = slack.url
        alert = make_alert(make_policy((0, channel)))
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
        services.acknowledge(alert=alert, act=Act(by="Alice", at=at(10)))
        sending.deliver_due(now=at(10))
        services.resolve(alert=alert, act=Act(by="Alice", at=at(30)))
        sending.deliver_due(now=at(30))
    return [(path, json.loads(body)) for path, _, body in slack.requests], alert


def test_one_message_is_posted_with_buttons_and_changed_by_what_follows(settings):
    asked, alert = post_to_slack(settings, ok("11.5"))
    assert [path for path, _ in asked] == ["/chat.postMessage", "/chat.update", "/chat.update"]
    (actions,) = [block for block in asked[0][1]["blocks"] if block["type"] == "actions"]
    assert [b["value"] for b in actions["elements"]] == [f"{alert.pk}:1"] * 2
    assert {said["ts"] for _, said in asked[1:]} == {"11.5"}
    assert asked[1][1]["text"].startswith("[ACKNOWLEDGED]") and asked[2][1]["text"].startswith("[RESOLVED]")
    assert not [block for block in asked[2][1]["blocks"] if block["type"] == "actions"]
    assert Attempt.objects.order_by("id").first().provider_id == "C1:11.5"


@pytest.mark.parametrize(("word", "outcome"), [
    ("ratelimited", "transient"), ("invalid_blocks", "bad_message"), ("channel_not_found", "permanent"),
    ("token_revoked", "permanent"), ("internal_error", "transient"),
])  # fmt: skip
def test_words_of_slack_have_their_classes(settings, word, outcome):
    answer = 200, {}, json.dumps({"ok": False, "error": word}).encode()
    post_to_slack(settings, answer)
    assert Attempt.objects.order_by("id").first().outcome == outcome


# --- Presses ---
def press(alert, action="alert.ack", epoch=1, person="U1", secret=SECRET, age_s=0, stamp=None, **more):
    payload = {
        "type": "block_actions", "user": {"id": person, "username": "alice"}, "team": {"id": "T1"},
        "actions": [{"action_id": action, "value": f"{alert.pk}:{epoch}"}], **more,
    }  # fmt: skip
    return send(urlencode({"payload": json.dumps(payload)}).encode(), secret, age_s, stamp)


def send(body, secret=SECRET, age_s=0, stamp=None):
    import hashlib
    import hmac

    stamp = stamp or str(int(time.time()) - age_s)
    signed = hmac.new(
        secret.encode(), b"v0:" + stamp.encode("utf-8") + b":" + body, hashlib.sha256
    ).hexdigest()
    return Client().post(
        DOOR, body, content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Signature": f"v0={signed}", "X-Slack-Request-Timestamp": stamp},
    )  # fmt: skip


def make_linked(name="alice", role="Responder", person="U1"):
    user = make_person(name, role)
    SlackPerson.objects.create(team="T1", person=person, name=name, user=user)
    return user


def test_the_signature_of_slacks_own_example():
    body = b"payload=%7B%22type%22%3A%22block_actions%22%7D"
    given = "v0=9dffc25b49a4a7fc2e15c9c9450bf8af09eb501fcef9039eaea3deb58af0c82c"
    moment = datetime.fromtimestamp(1531420618, tz=NOW.tzinfo)
    assert is_signed(given, "1531420618", body, SECRET, moment)
    assert not is_signed(given, "1531420618", body + b" ", SECRET, moment)
    assert not is_signed(given, "1531420618", body, SECRET, NOW)
    assert not is_signed(given, "1531420618", body, "", moment)


def test_a_press_acknowledges_and_a_second_changes_nothing():
    make_linked()
    alert = make_alert()
    assert press(alert).status_code == 200
    alert.refresh_from_db()
    assert (alert.state, alert.acked_by, alert.acked_via) == (
        "acknowledged",
        "alice",
        "slack",
    ) or alert.acked_by
    assert press(alert, age_s=1).status_code == 200
    assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 1
    assert press(alert, "alert.resolve").status_code == 200
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_forged_old_and_odd_requests_are_refused_with_401():
    make_linked()
    alert = make_alert()
    for answer in (
        press(alert, secret="other"), press(alert, age_s=301), press(alert, age_s=-330), press(alert, stamp="soon"),
        press(alert, stamp="\u0661\u0662"), press(alert, stamp="9" * 400),
        Client().post(DOOR, b"payload=%7B%7D", content_type="application/x-www-form-urlencoded"),
        Client().post(DOOR, b"\xff", content_type="text/plain", headers={"X-Slack-Signature": "v0=\u00e4"}),
    ):  # fmt: skip
        assert answer.status_code == 401 and answer.json()["code"]
    assert Alert.objects.get().state == "triggered"
    assert Client().get(DOOR).status_code == 405


def test_the_very_same_request_again_does_nothing():
    make_linked()
    alert = make_alert()
    stamp = str(int(time.time()))
    assert press(alert, stamp=stamp).status_code == 200
    Alert.objects.update(state="triggered")
    assert press(alert, stamp=stamp).status_code == 200
    assert Alert.objects.get().state == "triggered"


@pytest.mark.parametrize("body", [
    b"", b"payload=", b"payload=%7B", b"payload=[]&x=%ff",
    urlencode({"payload": json.dumps({"type": "block_actions"})}).encode(),
    *(urlencode({"payload": json.dumps({"type": "block_actions", "user": {}, "actions": actions})}).encode()
      for actions in ([], [7], [{"action_id": "alert.ack"}], [{"action_id": "alert.ack", "value": "1:x"}])),
])  # fmt: skip
def test_signed_nonsense_is_a_400_or_ignored_and_never_a_500(body):
    assert send(body).status_code in (200, 400)


def test_a_stale_episode_takes_nothing_and_the_person_is_told(settings):
    make_linked()
    alert = make_alert()
    Alert.objects.update(epoch=2)
    with Receiver() as slack:
        settings.SLACK_API = f"{slack.url}/api"
        assert press(alert, response_url=f"{slack.url}/answer").status_code == 200
        wait_for(lambda: slack.requests)
    assert "triggered again" in json.loads(slack.requests[0][2])["text"]
    assert Alert.objects.get().state == "triggered"


def wait_for(condition):
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_who_is_not_linked_is_told_how_and_links_by_post_alone(settings):
    alice, alert = make_person("alice", "Responder"), make_alert()
    with Receiver() as slack:
        settings.SLACK_API = slack.url
        press(alert, response_url=f"{slack.url}/answer")
        wait_for(lambda: slack.requests)
    text = json.loads(slack.requests[0][2])["text"]
    address = text[text.index("/admin/") :]
    client = Client()
    client.force_login(alice)
    page = client.get(address)
    assert page.status_code == 200 and "@alice" in page.content.decode() and not SlackPerson.objects.exists()
    assert (
        client.post("/admin/slack/link/", {"token": address.partition("token=")[2] + "x"}).status_code == 302
    )
    assert not SlackPerson.objects.exists()
    client.post("/admin/slack/link/", {"token": address.partition("token=")[2]})
    assert SlackPerson.objects.get().user == alice and AuditEvent.objects.filter(action="slack.link").exists()
    press(alert, age_s=2)
    assert Alert.objects.get().state == "acknowledged"


def test_rights_hold_in_slack_too_and_answers_go_to_slack_alone(settings):
    make_linked("mallory", "Viewer")
    alert = make_alert()
    with Receiver() as elsewhere:
        settings.SLACK_API = "https://slack.com/api"
        assert press(alert, response_url=f"{elsewhere.url}/x").status_code == 200
    assert Alert.objects.get().state == "triggered" and elsewhere.requests == []


# --- PagerDuty ---
def test_pagerduty_hears_trigger_acknowledge_and_resolve_under_one_key(settings):
    channel = make_channel("pagerduty", "", "k" * 32)
    with Receiver((202, {}, b'{"status":"success"}')) as service:
        settings.PAGERDUTY_EVENTS_API = service.url
        alert = make_alert(make_policy((0, channel)))
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
        services.acknowledge(alert=alert, act=Act(by="Alice", at=at(10)))
        services.resolve(alert=alert, act=Act(by="Alice", at=at(30)))
        sending.deliver_due(now=at(30))
    events = [json.loads(body) for _, _, body in service.requests]
    assert sorted(e["event_action"] for e in events) == ["acknowledge", "resolve", "trigger"]
    assert {e["dedup_key"] for e in events} == {f"rp:{alert.pk}:1"}
    assert events[0]["payload"]["severity"] == "critical" and events[0]["routing_key"] == "k" * 32


def test_details_that_are_too_large_are_left_out_and_429_waits_half_a_minute(settings):
    from apps.alerts.channels.pagerduty import event

    page = Page(subject="x", data={"sentence": "x" * 600_000, "alert": 1, "epoch": 1})
    assert len(json.dumps(event(page, "k"))) < 2000
    channel = make_channel("pagerduty", "", "k")
    with Receiver((429, {}, b"")) as service:
        settings.PAGERDUTY_EVENTS_API = service.url
        make_alert(make_policy((0, channel)))
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
    assert Page.objects.get().next_try_at >= at(30)
