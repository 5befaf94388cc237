"""Apprise: services with a fixed host, warnings and notices alone. And a webhook whose secret changes."""

import hashlib
import hmac
import json
from base64 import b64encode
from importlib.util import find_spec

import pytest

from apps.alerts import channels, paging, sending
from apps.alerts.channels import apprise
from apps.alerts.forms import ChannelForm
from apps.alerts.models import Page
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy
from tests.alerts.receivers import Receiver
from tests.conftest import need

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]


def send_all(now=NOW):
    paging.escalate_due(now=now)
    sending.deliver_due(now=now)


def test_while_a_webhooks_secret_changes_both_sign():
    keys = [b"0123456789abcdef", b"fedcba9876543210"]
    with Receiver((204, {}, b"")) as hook:
        secret = " ".join("whsec_" + b64encode(key).decode() for key in keys)
        make_alert(make_policy((0, make_channel("webhook", hook.url, secret))))
        send_all()
    ((_, headers, body),) = hook.requests
    headers = {k.lower(): v for k, v in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = ["v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    assert headers["webhook-signature"].split(" ") == wanted


@pytest.mark.parametrize(
    ("kind", "secret"), [("slack_app", "xoxp-1"), ("pagerduty", "short"), ("apprise", "file:///x")]
)
def test_a_secret_of_another_sort_is_refused_at_its_field(kind, secret):
    form = ChannelForm({"name": "other", "kind": kind, "address": "", "enabled": True, "new_secret": secret})
    assert not form.is_valid() and (kind not in channels.registry or "new_secret" in form.errors)


@pytest.mark.parametrize("url", [
    "file:///etc/passwd", "dbus://", "json://127.0.0.1/", "discord://1/2?verify=no", "TGRAM://x",
    "mailto://a:b@example.org", "", "discord://a b/c",
])  # fmt: skip
def test_only_services_with_a_fixed_host_are_let_in(url):
    assert apprise.check(url)


def test_it_carries_warnings_and_refuses_pages(monkeypatch):
    need(find_spec("apprise"), "the library apprise")
    assert apprise.check("discord://123456789012345678/abcdefghijklmnopqrstuvwxyz") == ""
    monkeypatch.setattr(apprise, "SCHEMES", apprise.SCHEMES | {"json"})
    with Receiver((200, {}, b"ok")) as service:
        host = service.url.removeprefix("http://")
        channel = make_channel("apprise", "", f"json://{host}/in")
        warning = make_alert(make_policy((0, channel)))
        type(warning).objects.update(severity="warning")
        send_all()
        make_alert(make_policy((0, channel)))
        send_all(at(1))
        sending.deliver_due(now=at(65))
    ((_, _, body),) = service.requests
    assert json.loads(body)["title"] == "[WARNING] Payments are failing"
    assert list(Page.objects.order_by("id").values_list("state", flat=True)[:2]) == ["sent", "failed"]
