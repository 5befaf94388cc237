"""From a due step to the receiver, over real sockets: mail, Slack, signed webhook; refusals, retries,
failover."""

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from apps.alerts import outbox, paging, sending, services
from apps.alerts.models import Attempt, Channel, ContactMethod, Escalation, Page
from apps.alerts.services import Act
from apps.core import secret_fields
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy, make_user
from tests.alerts.receivers import Receiver, Sink, free_port, smtp

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_allowed(settings, tmp_path):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.EMAIL_BACKEND = "apps.core.mail.KeptMailBackend"
    settings.EMAIL_FILE_PATH = tmp_path


def mails_of(sink):
    return [message_from_bytes(e.original_content, policy=policy.default) for e in sink.envelopes]


def send_all(now=NOW):
    paging.escalate_due(now=now)
    return sending.deliver_due(now=now)


def test_a_page_reaches_a_mail_server_with_a_stable_key_and_leaves_a_receipt(settings):
    with smtp(settings, Sink()) as sink:
        alert = make_alert(make_policy((0, make_user())))
        send_all()
    (mail,) = mails_of(sink)
    page = Page.objects.get()
    assert (page.state, page.attempts, page.failure) == ("sent", 1, "")
    assert mail["To"] == "alice@example.org" and mail["Subject"] == "[CRITICAL] Payments are failing"
    assert mail["X-Portal-Key"] == page.key and page.key in mail["Message-ID"]
    text = mail.get_body(("plain",)).get_content()
    assert "12 errors within 5 min" in text and f"/admin/incidents/incident/{alert.incident_id}/" in text
    receipt = Attempt.objects.get()
    assert (receipt.outcome, receipt.n, receipt.provider_id) == ("sent", 1, mail["Message-ID"])
    assert alert.incident.timeline.filter(action="page.sent", text__contains="Alice by email").count() == 1


def test_a_title_with_line_breaks_and_markup_is_only_text(settings):
    with smtp(settings, Sink()) as sink:
        alert = make_alert(make_policy((0, make_user())))
        page_title = "Hi\r\nBcc: mallory@example.org\n<script>alert(1)</script>"
        type(alert).objects.filter(pk=alert.pk).update(title=page_title)
        send_all()
    (mail,) = mails_of(sink)
    assert mail["Bcc"] is None and "Bcc: mallory" in mail["Subject"]
    assert "<script>" not in mail.get_body(("html",)).get_content()
    assert Page.objects.get().state == "sent"


def test_without_a_mail_server_the_mail_is_kept_as_a_file(tmp_path):
    make_alert(make_policy((0, make_user())))
    send_all()
    (kept,) = tmp_path.glob("*.eml")
    assert b"Payments are failing" in kept.read_bytes()


def test_acknowledging_stops_the_second_step(settings):
    with smtp(settings, Sink()) as sink:
        alert = make_alert(make_policy((0, make_user()), (300, make_user("bob"))))
        send_all()
        send_all(at(299))
        assert len(sink.envelopes) == 1
        services.acknowledge_incident(incident=alert.incident, act=Act("alice", at(299)))
        send_all(at(3000))
    assert [e.rcpt_tos for e in sink.envelopes] == [["alice@example.org"]]


def test_unacknowledged_the_second_step_and_the_second_round_come_in_time(settings):
    with smtp(settings, Sink()) as sink:
        make_alert(make_policy((0, make_user()), (300, make_user("bob")), repeat_count=1, repeat_wait_s=600))
        for seconds in (0, 299, 300, 899, 900, 1199, 1200, 5000, 9000):
            send_all(at(seconds))
    assert [e.rcpt_tos[0] for e in sink.envelopes] == [
        "alice@example.org", "bob@example.org", "alice@example.org", "bob@example.org",
    ]  # fmt: skip
    assert Escalation.objects.get().state == "exhausted"


def test_slack_gets_escaped_blocks_from_its_secret_address():
    with Receiver() as slack:
        channel = make_channel("slack", "", f"{slack.url}/services/T0/B0/x")
        alert = make_alert(make_policy((0, channel)))
        type(alert).objects.filter(pk=alert.pk).update(title="<!channel> & more", sentence="<@U1> did it")
        send_all()
    ((path, headers, body),) = slack.requests
    told = json.loads(body)
    assert path == "/services/T0/B0/x" and headers["Content-Type"] == "application/json"
    assert told["text"] == "[CRITICAL] &lt;!channel&gt; &amp; more"
    assert told["blocks"][0]["text"] == {"type": "plain_text", "text": "[CRITICAL] <!channel> & more"}
    assert all("<!channel>" not in json.dumps(b) for b in told["blocks"] if "mrkdwn" in json.dumps(b))
    page = Page.objects.get()
    assert page.state == "sent" and slack.url not in page.address and slack.url not in json.dumps(page.data)


def test_a_webhook_is_signed_after_standard_webhooks():
    with Receiver((204, {}, b"")) as hook:
        channel = make_channel(
            "webhook", f"{hook.url}/in?x=1", "whsec_" + b64encode(b"0123456789abcdef").decode()
        )
        make_alert(make_policy((0, channel)))
        send_all()
    ((path, headers, body),) = hook.requests
    headers = {k.lower(): v for k, v in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = b64encode(hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()).decode()
    assert path == "/in?x=1" and headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-id"] == Page.objects.get().key
    assert json.loads(body)["data"]["title"] == "Payments are failing"


def test_a_busy_receiver_is_tried_again_when_it_asks_to_be():
    busy = (429, {"Retry-After": "30"}, b"slow down")
    with Receiver(busy, (500, {}, b"oops"), (200, {}, b"ok")) as hook:
        make_alert(make_policy((0, make_channel("webhook", hook.url))))
        send_all()
        page = Page.objects.get()
        assert page.state == "pending" and page.next_try_at >= at(30)
        assert sending.deliver_due(now=at(29)).said == "nothing due"
        sending.deliver_due(now=at(31))
        sending.deliver_due(now=at(120))
    page.refresh_from_db()
    assert (page.state, page.attempts) == ("sent", 3)
    assert list(Attempt.objects.values_list("outcome", "http_status", "retry_after_s")) == [
        ("transient", 429, 30), ("transient", 500, None), ("sent", 200, None),
    ]  # fmt: skip
    assert len({headers["webhook-id"] for _, headers, _ in hook.requests}) == 1


def test_a_receiver_that_hangs_is_ambiguous_and_tried_again(monkeypatch):
    monkeypatch.setattr("apps.alerts.delivery.SEND_TIMEOUT_S", 0.3)
    with Receiver(2) as hook:
        make_alert(make_policy((0, make_channel("webhook", hook.url))))
        send_all()
    assert Attempt.objects.get().outcome == "ambiguous"
    assert Page.objects.get().state == "pending"


def test_a_receiver_that_is_away_is_transient():
    make_alert(make_policy((0, make_channel("webhook", f"http://127.0.0.1:{free_port()}/"))))
    send_all()
    assert Attempt.objects.get().outcome == "transient"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 302])
def test_a_refusal_for_good_fails_at_once_and_marks_the_channel_and_tells_somebody(status):
    with Receiver((status, {"Location": "http://127.0.0.1/"}, b"no_service")) as slack:
        channel = make_channel("slack", "", slack.url)
        alert = make_alert(make_policy((0, channel), (300, make_user())))
        send_all()
        assert len(slack.requests) == 1
    channel.refresh_from_db()
    page = Page.objects.get(channel=channel)
    assert page.state == "failed" and str(status) in page.failure
    assert channel.broken_since and str(status) in channel.last_failure
    assert alert.incident.timeline.filter(action="page.failed", tone="bad").count() == 1
    assert Page.objects.get(escalation=None).subject == f"[BROKEN] {channel.name}"


def test_a_step_that_failed_for_good_does_not_make_the_next_one_wait():
    with Receiver((404, {}, b"gone")) as slack:
        make_alert(make_policy((0, make_channel("slack", "", slack.url)), (3600, make_user())))
        send_all()
    send_all(at(5))
    assert Page.objects.get(user=make_user(), escalation__isnull=False).state == "sent"


def test_a_broken_channel_is_retried_then_failed_visibly_and_the_next_way_is_used(settings):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    settings.EMAIL_BACKEND, settings.EMAIL_USE_TLS = "django.core.mail.backends.smtp.EmailBackend", False
    alice = make_user()
    for order, address in enumerate(("alice@one.example", "alice@two.example"), 1):
        ContactMethod.objects.create(user=alice, kind="email", address=address, order=order, verified_at=NOW)
    alert = make_alert(make_policy((0, alice)))
    send_all()
    for seconds in (10, 50, 120, 301, 400):
        sending.deliver_due(now=at(seconds))
    first = Page.objects.get(address="alice@one.example")
    assert first.state == "failed" and first.attempts >= 4 and "No mail server" in first.failure
    assert Page.objects.filter(address="alice@two.example").count() == 1
    assert alert.incident.timeline.filter(action="page.failed").count() == 1
    assert "No mail server" in ContactMethod.objects.get(order=1).last_failure


def test_a_refused_recipient_fails_for_good_and_the_next_way_is_tried_at_once(settings):
    alice = make_user()
    for order, address in enumerate(("gone@example.org", "alice@example.org"), 1):
        ContactMethod.objects.create(user=alice, kind="email", address=address, order=order, verified_at=NOW)
    make_alert(make_policy((0, alice)))
    with smtp(settings, Sink("550 no such user", ["gone@example.org"])) as sink:
        send_all()
    assert [e.rcpt_tos for e in sink.envelopes] == [["alice@example.org"]]
    assert list(Page.objects.order_by("id").values_list("state", flat=True)) == ["failed", "sent"]


def test_greylisting_is_no_refusal(settings):
    make_alert(make_policy((0, make_user())))
    with smtp(settings, Sink(refuse="451 try later")):
        send_all()
    assert (Attempt.objects.get().outcome, Page.objects.get().state) == ("transient", "pending")


def test_a_bad_message_is_tried_once_more_as_plain_text():
    with Receiver((400, {}, b"invalid_blocks"), (200, {}, b"ok")) as slack:
        make_alert(make_policy((0, make_channel("slack", "", slack.url))))
        send_all()
        sending.deliver_due(now=at(1))
    assert "blocks" in json.loads(slack.requests[0][2]) and set(json.loads(slack.requests[1][2])) == {"text"}
    assert Page.objects.get().state == "sent"


def test_a_worker_that_died_while_sending_loses_no_page(settings):
    make_alert(make_policy((0, make_user())))
    paging.escalate_due(now=NOW)
    page = Page.objects.get()
    dead = outbox.claim(page.pk, now=NOW)
    assert outbox.claim(page.pk, now=at(30)) is None
    with smtp(settings, Sink()) as sink:
        assert sending.deliver_due(now=at(30)).said == "nothing due"
        sending.deliver_due(now=at(61))
        assert len(sink.envelopes) == 1
    from apps.alerts.channels import Receipt

    assert outbox.record_result(dead, Receipt("sent"), started_at=NOW, now=at(62)) == "late"
    page.refresh_from_db()
    assert (page.state, page.token) == ("sent", 2)
    assert sorted(Attempt.objects.values_list("token", flat=True)) == [1, 2]


def test_a_claim_taken_over_after_its_deadline_is_still_tried(settings):
    make_alert(make_policy((0, make_user())))
    paging.escalate_due(now=NOW)
    outbox.claim(Page.objects.get().pk, now=NOW)
    with smtp(settings, Sink()) as sink:
        sending.deliver_due(now=NOW + timedelta(days=1))
    assert len(sink.envelopes) == 1


def test_those_who_were_paged_hear_that_it_is_over_but_not_who_ended_it(settings):
    alice, bob = make_user(), make_user("bob")
    with smtp(settings, Sink()) as sink:
        alert = make_alert(make_policy((0, alice), (300, bob)))
        send_all()
        send_all(at(300))
        services.resolve(alert=alert, act=Act("alice", at(310), actor=alice))
        services.resolve(alert=alert, act=Act("alice", at(311), actor=alice))
        send_all(at(320))
    assert [m["To"] for m in mails_of(sink)][2:] == ["bob@example.org"]
    assert mails_of(sink)[2]["Subject"].startswith("[RESOLVED]")


def test_nobody_reached_is_red_and_goes_to_the_fallback(settings):
    gone = make_user("bob", is_active=False)
    with smtp(settings, Sink()) as sink:
        alert = make_alert(make_policy((600, gone), fallback=make_user("carol")))
        send_all()
        sending.deliver_due(now=at(1))
    assert Escalation.objects.get().state == "exhausted_unreached"
    assert [e.rcpt_tos for e in sink.envelopes] == [["carol@example.org"]]
    assert alert.incident.timeline.filter(text__contains="Bob is no longer active", tone="bad").exists()
    assert alert.incident.timeline.filter(text__startswith="Reached nobody").count() == 1


def test_a_secret_that_cannot_be_opened_fails_visibly():
    channel = make_channel("slack", "", "https://hooks.example.org/x")
    Channel.objects.filter(pk=channel.pk).update(secret=secret_fields.seal("x", place="elsewhere"))
    make_alert(make_policy((0, channel)))
    send_all()
    assert "set it again" in Page.objects.get(channel=channel).failure


def test_the_policy_may_change_or_go_while_it_runs(settings):
    policy = make_policy((0, make_user()), (300, make_user("bob")))
    with smtp(settings, Sink()) as sink:
        make_alert(policy)
        policy.steps.all().delete()
        policy.delete()
        send_all()
        send_all(at(300))
    assert len(sink.envelopes) == 2
