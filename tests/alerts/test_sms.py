"""SMS over a receiver that speaks as Twilio does; its callbacks and people's replies, signed, forged, out of order."""

import json
from urllib.parse import parse_qs, urlencode

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from apps.alerts import paging, sending
from apps.alerts.channels.sms import check_number, text_of
from apps.alerts.models import Alert, Attempt, ContactMethod, Page
from apps.alerts.twilio.replies import Asked, read
from apps.alerts.twilio.signature import is_signed, signature
from apps.audit.models import AuditEvent
from tests.alerts.make import NOW, at, make_alert, make_policy
from tests.alerts.receivers import Receiver
from tests.people import make_person

pytestmark = pytest.mark.django_db
NUMBER, TOKEN = "+4930901820", "twilio-token"
SENT = (201, {}, b'{"sid":"SM1","status":"queued"}')


@pytest.fixture(autouse=True)
def twilio_is_set_up(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, settings.TWILIO_FROM = (
        "AC1",
        TOKEN,
        "+4915550100",
    )
    settings.SITE_URL = "https://portal.example.org"


def make_method(user, number=NUMBER, **facts):
    facts = {"kind": "sms", "address": number, "verified_at": NOW, **facts}
    return ContactMethod.objects.create(user=user, **facts)


def page_alice(settings, *answers, count=1):
    """Pages Alice by SMS; the requests that Twilio got, and the alerts."""
    alice = make_person("alice", "Responder")
    make_method(alice)
    policy = make_policy((0, alice))
    alerts = [make_alert(policy) for _ in range(count)]
    with Receiver(*answers) as provider:
        settings.TWILIO_API = provider.url
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
    return provider.requests, alerts


def form_of(request):
    return {name: values[0] for name, values in parse_qs(request[2].decode()).items()}


def post(path, token=TOKEN, url="https://portal.example.org", **parameters):
    signed = signature(token, url + path, parameters.items())
    return Client().post(
        path, urlencode(parameters), content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signed},
    )  # fmt: skip


def reply(text, number=NUMBER):
    return post("/api/integrations/twilio/reply/", From=number, Body=text).content.decode()


def test_a_page_goes_out_as_one_message_with_its_tag_and_an_end_of_its_life(settings):
    requests, (alert,) = page_alice(settings, SENT)
    ((path, headers, _),) = requests
    form = form_of(requests[0])
    assert path == "/2010-04-01/Accounts/AC1/Messages.json" and headers["Authorization"].startswith("Basic ")
    assert (form["To"], form["From"], form["ValidityPeriod"]) == (NUMBER, "+4915550100", "600")
    assert form["Body"].endswith(f"Reply ACK {alert.pk}-1\n#{alert.pk}-1")
    assert Page.objects.get().key in form["StatusCallback"]
    assert Attempt.objects.get().provider_id == "SM1"


def test_the_text_is_short_and_of_letters_that_cost_little():
    page = Page(
        subject="\u201cPay\u201d \u2026",
        data={"sentence": "x" * 2000, "url": "https://x/"},
        alert_id=4,
        epoch=2,
    )
    page.escalation_id = 1
    text = text_of(page)
    assert len(text) <= 440 and text.isascii() and text.endswith("https://x/\nReply ACK 4-2\n#4-2")


def test_a_try_that_may_have_arrived_is_looked_for_before_it_is_repeated(settings):
    alice = make_person("alice", "Responder")
    make_method(alice)
    alert = make_alert(make_policy((0, alice)))
    there = {
        "sid": "SM9",
        "body": f"x\n#{alert.pk}-1",
        "status": "sent",
        "date_created": "Mon, 22 Nov 2100 12:00:01 +0000",
    }
    with Receiver(0.1, (200, {}, json.dumps({"messages": [there]}).encode())) as provider:
        settings.TWILIO_API = provider.url
        paging.escalate_due(now=NOW)
        sending.deliver_due(now=NOW)
        sending.deliver_due(now=at(30))
    assert [Attempt.objects.filter(n=n).get().outcome for n in (1, 2)] == ["ambiguous", "sent"]
    assert provider.requests[1][0].startswith("/2010-04-01/Accounts/AC1/Messages.json?To=")
    assert Attempt.objects.get(n=2).provider_id == "SM9" and len(provider.requests) == 2


def test_a_number_that_does_not_exist_fails_for_good(settings):
    page_alice(settings, (400, {}, b'{"code":21211,"message":"Invalid To"}'))
    page = Page.objects.get()
    assert (page.state, page.failure) == ("failed", "21211: Invalid To")


@pytest.mark.parametrize(
    "number", ["030 901820", "+49", "+4930901820x", "hello", "+1555010", "+49 30 901820"]
)
def test_numbers_are_checked(number):
    with pytest.raises(ValidationError):
        check_number(number)
    check_number(NUMBER)


# --- What Twilio says ---
def test_the_signature_of_twilios_own_example():
    parameters = {
        "CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309",
        "To": "+18005551212",
    }  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert is_signed("RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345", url, parameters.items())
    assert not is_signed("RSOYDt4T1cUTdK1PDd93/VVr8B8=", "", url, parameters.items())
    assert not is_signed("R\u00e4", "12345", url, parameters.items())


def status(page, word, **more):
    return post(
        f"/api/integrations/twilio/status/?page={page.key}", MessageSid="SM1", MessageStatus=word, **more
    )


def test_statuses_in_any_order_end_alike_and_never_go_back(settings):
    page_alice(settings, SENT)
    page = Page.objects.get()
    for word in ("sent", "delivered", "queued", "undelivered", "failed", "sent"):
        assert status(page, word).status_code == 204
    page.refresh_from_db()
    assert page.state == "delivered"


def test_a_message_that_did_not_arrive_begins_the_next_way_at_once(settings):
    page_alice(settings, SENT)
    page = Page.objects.get()
    way = {"kind": "email", "address": "alice@example.org", "label": "Alice", "user_id": page.user_id}
    Page.objects.update(data={**page.data, "then": [way]})
    assert status(page, "undelivered", ErrorCode="30003").status_code == 204
    assert list(Page.objects.order_by("id").values_list("kind", "state")) == [
        ("sms", "failed"),
        ("email", "pending"),
    ]
    assert status(page, "undelivered", ErrorCode="30003").status_code == 204
    assert Page.objects.count() == 2


@pytest.mark.parametrize("path", ["status", "reply"])
def test_forged_requests_are_refused(settings, path):
    page_alice(settings, SENT)
    address = f"/api/integrations/twilio/{path}/"
    for answer in (
        post(address, token="other", From=NUMBER, Body="ack"),
        post(address, url="https://elsewhere.example.org", From=NUMBER, Body="ack"),
        Client().post(address, {"From": NUMBER, "Body": "ack"}),
        Client().post(address, {"From": NUMBER}, headers={"X-Twilio-Signature": "\u00e4\u00f6"}),
    ):
        assert answer.status_code == 403 and answer.json()["code"]
    settings.TWILIO_AUTH_TOKEN = ""
    assert post(address, token="", From=NUMBER, Body="ack").status_code == 403
    assert Client().get(address).status_code == 405
    assert Alert.objects.get().state == "triggered"


# --- What people reply ---
def test_ack_takes_the_only_alert_and_says_so(settings):
    _, (alert,) = page_alice(settings, SENT)
    said = reply(" Ack. ")
    assert f"Acknowledged {alert.pk}: Payments are failing" in said and said.startswith("<?xml")
    alert.refresh_from_db()
    assert (alert.state, alert.acked_via) == ("acknowledged", "sms")
    assert "Nothing that was paged" in reply("ack") and "was taken already" in reply(f"ack {alert.pk}")


def test_with_several_the_reply_asks_which_and_all_takes_them_all(settings):
    _, alerts = page_alice(settings, SENT, count=3)
    assert f"ACK {alerts[0].pk}-1" in reply("ack") and Alert.objects.filter(state="triggered").count() == 3
    reply(f"ack #{alerts[1].pk}-1")
    assert Alert.objects.get(state="acknowledged").pk == alerts[1].pk
    reply("ACK ALL")
    assert not Alert.objects.filter(state="triggered").exists()


def test_a_page_of_an_earlier_time_takes_nothing(settings):
    _, (alert,) = page_alice(settings, SENT)
    Alert.objects.update(epoch=2)
    assert "fired again" in reply(f"ack {alert.pk}-1")
    assert Alert.objects.get().state == "triggered"


def test_strangers_and_people_without_the_right_take_nothing(settings):
    page_alice(settings, SENT)
    assert "not known here" in reply("ack", "+4930901821")
    make_method(make_person("mallory", "Viewer"), "+4930901822")
    assert "may not" in reply("ack", "+4930901822")
    ContactMethod.objects.update(verified_at=None)
    assert "not known here" in reply("ack")
    assert Alert.objects.get().state == "triggered"


def test_stop_and_start_are_honoured_and_audited(settings):
    page_alice(settings, SENT)
    assert reply("STOP").endswith("<Response></Response>")
    assert not ContactMethod.objects.get().enabled
    assert "come to this number again" in reply("start") and ContactMethod.objects.get().enabled
    assert AuditEvent.objects.filter(action="contact.switched").count() == 2


def test_what_is_no_command_gets_help_and_markup_is_text(settings):
    page_alice(settings, SENT)
    Alert.objects.update(title="<script>&")
    assert "Reply ACK" in reply("<b>who is this?</b>\0")
    assert "&lt;script&gt;&amp;" in reply("ack")


@pytest.mark.parametrize(("text", "asked"), [
    ("ack", Asked()), ("ACK all", Asked(every=True)), ("ack 12", Asked(alert=12)),
    ("ack#12-3", Asked(alert=12, epoch=3)), ("acknowledge 12", Asked(alert=12)), ("ok", None), ("ack twelve", None),
    ("ack 12 please", None), ("", None), ("ack \u0661", None), ("a" * 5000, None), ("ack " + "9" * 30, None),
])  # fmt: skip
def test_replies_are_read(text, asked):
    assert read(text) == asked
