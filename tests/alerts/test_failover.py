"""Real receivers that fail in each way they can: what the receipt says, and when the next way begins."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from apps.alerts import delivery, paging, sending
from apps.alerts.models import Attempt, Page
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy
from tests.alerts.receivers import Receiver, free_port

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_allowed(settings, tmp_path):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "apps.core.mail.KeptMailBackend", tmp_path


def receipt_of(url):
    make_alert(make_policy((0, make_channel("webhook", url))))
    paging.escalate_due(now=NOW)
    sending.deliver_due(now=NOW)
    return Attempt.objects.get()


def test_retry_after_in_seconds_is_waited_for():
    with Receiver((429, {"Retry-After": "30"}, b"")) as hook:
        receipt = receipt_of(hook.url)
    page = Page.objects.get()
    assert (receipt.outcome, receipt.retry_after_s) == ("transient", 30)
    assert page.state == "pending" and page.next_try_at >= at(30)


def test_retry_after_as_a_date_is_waited_for():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    with Receiver((503, {"Retry-After": date}, b"")) as hook:
        receipt = receipt_of(hook.url)
    assert 0 < receipt.retry_after_s <= 120 and Page.objects.get().next_try_at > at(receipt.retry_after_s - 1)


def test_a_receiver_that_hangs_is_ambiguous_within_the_time_limit(monkeypatch):
    monkeypatch.setattr(delivery, "SEND_TIMEOUT_S", 1)
    with Receiver(3.0) as hook:
        assert receipt_of(hook.url).outcome == "ambiguous"
    assert Page.objects.get().state == "pending"


def test_a_refused_connection_is_known_not_to_have_arrived():
    assert receipt_of(f"http://127.0.0.1:{free_port()}/").outcome == "transient"


def test_a_broken_tls_handshake_is_known_not_to_have_arrived():
    with Receiver((200, {}, b"plain text where TLS was spoken")) as hook:
        receipt = receipt_of(hook.url.replace("http://", "https://"))
    assert (receipt.outcome, hook.requests) == ("transient", []) and "TLS" in receipt.error


def test_a_receiver_that_hangs_up_after_the_request_is_ambiguous():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            peer, _ = server.accept()
            peer.recv(65_536)
            peer.close()

        threading.Thread(target=hang_up, daemon=True).start()
        assert receipt_of(f"http://127.0.0.1:{server.getsockname()[1]}/").outcome == "ambiguous"
