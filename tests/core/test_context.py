"""Who asks, from where, under which id: set first, reset last, and never raising."""

import json
import logging
import threading
import uuid
from io import StringIO

import pytest
from django.conf import settings
from django.test import Client, RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.models import AuditEvent
from apps.core import context, logs
from apps.core.context import client_address, device_type
from tests.at_once import at_once
from tests.people import make_person

pytestmark = pytest.mark.urls("tests.core.probe_urls")


def address_of(remote, forwarded=None, proxies=0):
    request = RequestFactory().get("/")
    request.META["REMOTE_ADDR"] = remote
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        return client_address(request)


@pytest.fixture
def log_lines():
    """What the console would print, as JSON documents."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(as_json=True))
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


@pytest.mark.django_db
def test_the_request_id_is_the_same_in_header_body_and_audit_row():
    answer = Client().get("/probe/show")
    given_id = answer["X-Request-ID"]
    assert str(uuid.UUID(given_id)) == given_id
    assert uuid.UUID(given_id).version == 4
    assert answer.json()["request_id"] == given_id
    assert AuditEvent.objects.get(action="probe.seen").request_id == given_id


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/probe/plain/bug", "/api/probe/fails/bug"])
def test_the_request_id_is_the_same_in_header_body_and_log_when_the_view_raises(log_lines, address):
    answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code == 500
    assert answer.json()["requestId"] == answer["X-Request-ID"]
    lines = [line for line in log_lines() if "exception" in line]
    assert lines
    assert {line["request_id"] for line in lines} == {answer["X-Request-ID"]}
    assert context._current.get() is None


@pytest.mark.django_db
def test_two_requests_never_share_an_id():
    client = Client()
    assert len({client.get("/api/live")["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"x-request-id": "abc-DEF_123"}, "abc-DEF_123"),
        ({"x-correlation-id": "from-upstream"}, "from-upstream"),
        ({"x-request-id": "first", "x-correlation-id": "second"}, "first"),
        ({"x-request-id": "does not fit", "x-correlation-id": "second"}, "second"),
        ({"x-request-id": "a" * 64}, "a" * 64),
        ({"x-request-id": "a" * 65}, ""),
        ({"x-request-id": "{uuid}"}, ""),
        ({"x-request-id": "urn:uuid:1"}, ""),
        ({"x-request-id": "line\nbreak"}, ""),
        ({"x-request-id": "ends\n"}, ""),
        ({"x-request-id": "ünicode"}, ""),
        ({"x-request-id": ""}, ""),
        ({}, ""),
    ],
)
def test_a_callers_id_is_kept_beside_ours_only_if_it_fits(headers, kept):
    answer = Client().get("/probe/show", headers=headers)
    assert answer.json()["correlation_id"] == kept
    assert answer["X-Request-ID"] not in headers.values()
    assert AuditEvent.objects.get(action="probe.seen").correlation_id == kept


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "address"),
    [
        ("192.0.2.1", None, 0, "192.0.2.1"),
        (
            "192.0.2.1",
            "203.0.113.9",
            0,
            "192.0.2.1",
        ),  # nobody stands in front: the header is the caller's word
        ("10.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),  # what stands left of it, the caller wrote
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", 2, "10.0.0.1"),  # shorter than promised
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", None, 1, "10.0.0.1"),
        ("10.0.0.1", "unknown", 1, None),
        ("10.0.0.1", "203.0.113.9:4711", 1, None),
        ("10.0.0.1", "203.0.113.9, ", 1, "203.0.113.9"),
        ("2001:db8::1", None, 0, "2001:db8::1"),
        ("2001:DB8:0::1", None, 0, "2001:db8::1"),
        ("fe80::1%eth0", None, 0, "fe80::1"),
        ("", None, 0, None),  # a Unix socket
        ("10.0.0.1", "1" * 10_000, 1, None),
        ("10.0.0.1", "a\0b", 1, None),
        ("10.0.0.1", "010.0.0.1", 1, None),  # octal or decimal: nobody knows
    ],
)
def test_the_address_is_counted_from_the_right_behind_trusted_proxies(remote, forwarded, proxies, address):
    assert address_of(remote, forwarded, proxies) == address


@given(st.text(max_size=60), st.text(max_size=200), st.integers(0, 10))
def test_no_header_makes_the_address_raise(remote, forwarded, proxies):
    found = address_of(remote, forwarded, proxies)
    assert found is None or ":" in found or found.count(".") == 3


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/17.5 Mobile/15E148 Safari/604.1", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
         "Safari/537.36", "mobile"),
        ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 "
         "Mobile/15E148 Safari/604.1", "mobile"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36", "desktop"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
         "Safari/605.1.15", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop"),
        ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36", "desktop"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "unknown"),
        ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/126.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "unknown"),
        ("curl/8.6.0", "unknown"),
        ("python-requests/2.32.3", "unknown"),
        ("sentry.python/2.8.0", "unknown"),
        ("", "unknown"),
    ],
)  # fmt: skip
def test_devices_by_their_user_agent(user_agent, device):
    assert device_type(user_agent) == device


@given(st.text(max_size=700))
def test_no_user_agent_makes_the_device_raise(user_agent):
    assert device_type(user_agent) in {"mobile", "desktop", "unknown"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "x" * 5000},
        {"user-agent": "a\0b\r\nc"},
        {"user-agent": "\u00ff\u00fe"},
        {"x-forwarded-for": "garbage, \0, [::1"},
        {"x-request-id": "\0"},
        {"accept": "\0;;,,q=x"},
        {"accept-language": "\0" * 100},
        {"authorization": "Bearer rp_\u00ff\0"},
        {"authorization": "\0"},
        {"cookie": "session=\0; =; ;;;"},
        {"content-length": "garbage"},
        {"content-type": "multipart/form-data; boundary=\0"},
    ],
)
@pytest.mark.parametrize("proxies", [0, 1])
def test_garbage_in_headers_is_never_a_500_and_is_audited_like_the_rest(headers, proxies):
    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        client = Client(raise_request_exception=False)
        for address in ("/probe/show", "/api/probe/who"):
            assert client.get(address, headers=headers).status_code < 500
    kept = AuditEvent.objects.get(action="probe.seen")
    assert len(kept.user_agent) <= 512
    assert "\0" not in kept.user_agent


@pytest.mark.django_db
def test_the_endpoint_is_the_routes_pattern_and_not_the_path():
    told = Client().post("/probe/show/77").json()
    assert (told["endpoint"], told["method"]) == ("probe/show/<int:number>", "POST")


@pytest.mark.django_db
def test_the_signed_in_person_is_the_actor_and_the_next_request_is_anonymous_again():
    client = Client()
    alice = make_person("alice")
    client.force_login(alice)
    told = client.get("/probe/show").json()
    assert (told["actor_type"], told["actor_id"], told["actor_label"]) == ("user", str(alice.pk), "alice")
    told = Client().get("/probe/show").json()
    assert (told["actor_type"], told["actor_id"], told["actor_label"]) == ("anonymous", "", "anonymous")
    assert context._current.get() is None


def test_a_unit_of_work_that_raises_leaves_the_context_as_it_was():
    outer = context.RequestContext(request_id="outer")
    with context.entered(outer):
        with pytest.raises(ZeroDivisionError), context.entered(context.RequestContext(request_id="inner")):
            context.amend(actor_label="somebody")
            raise ZeroDivisionError
        assert context.current() is outer
    assert context._current.get() is None


def test_amending_outside_of_any_work_changes_nothing():
    context.amend(actor_label="somebody")
    assert context.current().actor_label == "system"


@pytest.mark.django_db(transaction=True)
def test_requests_of_several_threads_do_not_see_each_other():
    people = [make_person(name) for name in ("alice", "bob", "carol", "mallory")]

    def many(number):
        client = Client()
        client.force_login(people[number])
        seen = {client.get("/probe/show").json()["actor_label"] for _ in range(5)}
        return seen, context._current.get(), threading.get_ident()

    for (seen, left, _), person in zip(at_once(4, many), people, strict=True):
        assert seen == {person.username}
        assert left is None


@pytest.mark.django_db
def test_pages_show_the_zone_that_a_person_chose_and_utc_where_it_is_no_zone():
    client = Client()
    assert client.get("/probe/show").json()["zone"] == settings.PORTAL_TIME_ZONE
    assert (
        client.post("/zone/", {"zone": "Asia/Kathmandu", "next": "/probe/show"})["Location"] == "/probe/show"
    )
    assert client.get("/probe/show").json()["zone"] == "Asia/Kathmandu"
    client.post("/zone/", {"zone": "../../etc/passwd"})
    assert client.get("/probe/show").json()["zone"] == "Asia/Kathmandu"
    for wrong in ("Europe", "Nowhere/Land", "/etc/passwd"):
        with override_settings(PORTAL_TIME_ZONE=wrong):
            assert Client().get("/probe/show").json()["zone"] == "UTC"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_choosing_a_zone_never_leads_to_another_site(back):
    assert Client().post("/zone/", {"zone": "UTC", "next": back})["Location"] == "/"


def test_a_log_line_is_one_line_whatever_it_holds(log_lines):
    with context.entered(context.RequestContext(request_id="the-id", actor_label="alice", endpoint="x/<id>")):
        logging.getLogger("probe").warning("first\n2026 forged\r\x1b[31m %s", "\u2028\0\ud83d")
    (line,) = log_lines()
    assert line["event"] == "first\\n2026 forged\\r\\x1b[31m \\u2028\\x00\\ud83d"
    assert (line["request_id"], line["actor"], line["endpoint"]) == ("the-id", "alice", "x/<id>")
