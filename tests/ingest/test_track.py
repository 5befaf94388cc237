"""The door of tracked events: who may use it, what it answers, and what the drain makes of it."""

import gzip
import os
from datetime import timedelta

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from apps.core.ids import timestamp_of
from apps.ingest import drain, track
from apps.ingest.models import InboxEntry, SetAside
from apps.projects.models import RoutingRule
from apps.telemetry.models import ActiveUserDay, RequestDay, TrackedEvent, TrackedHour
from tests.ingest.items import counts
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_project, post

pytestmark = pytest.mark.django_db(transaction=True)
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}
PATH = "/api/analytics/track"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"


def send(event, data=None, *, path=PATH, environ=(), **body):
    return post(
        path, orjson.dumps({"event": event, "data": data or {}, **body}), **{**BEARER, **dict(environ)}
    )


def run():
    drain.drain(now=timezone.now(), slot=1)
    assert not SetAside.objects.exists()


def refused(answer, status, code, field):
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert [d["field"] for d in answer.json["details"]] == [field]
    assert not InboxEntry.objects.exists()


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_an_event_is_answered_when_it_is_durable_and_counted_by_the_drain(path):
    project = make_project()
    answer = send("feature_used", {"feature": "export", "user_id": 17, "duration_seconds": 2}, path=path)
    assert (answer.status, answer.json) == (200, {"ok": True})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert InboxEntry.objects.count() == 1
    run()
    event = TrackedEvent.objects.get()
    assert (event.project, event.name, event.duration_ms, len(event.user_hash)) == (
        project,
        "feature_used",
        2000,
        64,
    )
    assert abs(timestamp_of(event.id) - event.occurred_at) < timedelta(milliseconds=1)
    assert TrackedHour.objects.get().subject == "export"
    assert ActiveUserDay.objects.count() == 1
    assert counts() == {("tracked", "stored"): 1}


def test_who_it_was_never_reaches_the_inbox():
    make_project()
    send(
        "security_incident_lockout",
        {"email": "mallory@example.org", "ip": "203.0.113.9", "password": "hunter2"},
    )
    body = bytes(InboxEntry.objects.get().body)
    for word in (b"mallory", b"203.0.113.9", b"hunter2"):
        assert word not in body


def test_an_unknown_event_is_taken():
    make_project()
    assert send("basket emptied", {"items": [1, 2], "deep": {"a": {"b": None}}}).status == 200
    run()
    event = TrackedEvent.objects.get()
    assert (event.name, event.data) == ("basket emptied", {"items": [1, 2], "deep": {"a": {"b": None}}})


def test_a_retry_with_the_senders_id_is_counted_once():
    make_project()
    for _ in range(3):
        send("feature_used", {"feature": "export"}, event_id="a" * 32)
    run()
    assert TrackedHour.objects.get().n == 1
    assert counts() == {("tracked", "stored"): 1, ("tracked", "duplicate"): 2}


def test_response_times_are_counted_for_their_endpoint_component_and_device():
    project = make_project()
    RoutingRule.objects.create(project=project, pattern="/api/users", component="Profiles")
    timing = {"endpoint": "/api/users/17?x=1", "response_time_ms": 120.5, "status": 500}
    assert send("api_response_time", timing, environ={"HTTP_USER_AGENT": PHONE}).status == 200
    run()
    day = RequestDay.objects.get()
    assert (day.endpoint, day.component.name, day.device, day.n, day.failed, day.duration_max_ms) == (
        "/api/users/{id}", "Profiles", "mobile", 1, 1, 120.5,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_anything_but_post_is_405(method):
    make_project()
    answer = post(PATH, b"", method=method, **BEARER)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_a_browser_may_ask_first():
    answer = post(PATH, b"", method="OPTIONS", HTTP_ORIGIN="https://app.example.org")
    assert answer.status == 200
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_a_field_that_is_wrong_is_named():
    make_project()
    refused(send("feature_used", {"feature": 7}), 400, "invalid", "data.feature")
    refused(send("trial_conversion"), 400, "required", "data.trial_type")
    refused(send(""), 400, "invalid", "event")
    refused(send("a", timestamp="soon"), 400, "invalid", "timestamp")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"), (b"{", "bad_json"), (b"[" * 99, "bad_json"), (b"\xff", "bad_encoding"),
        (b"[]", "not_an_object"), (b'{"event": "a", "data": {"n": NaN}}', "bad_number"),
        (b'{"event": "a", "data": ' + b"[" * 99 + b"]" * 99 + b"}", "too_deep"),
    ],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_400(body, code):
    make_project()
    answer = post(PATH, body, **BEARER)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert not InboxEntry.objects.exists()


def test_a_body_that_is_too_large_is_refused_packed_or_not():
    make_project()
    large = orjson.dumps({"event": "a", "data": {"text": "x" * (track.MAX_BYTES + 1)}})
    assert post(PATH, large, **BEARER).status == 413
    assert post(PATH, gzip.compress(large), HTTP_CONTENT_ENCODING="gzip", **BEARER).status == 413
    assert not InboxEntry.objects.exists()


def test_without_a_key_and_with_a_wrong_one_the_answer_is_the_same():
    make_project()
    none = post(PATH, b'{"event": "a"}')
    wrong = post(PATH, b'{"event": "a"}', HTTP_AUTHORIZATION=f"Bearer {FOREIGN_KEY}")
    assert (
        (none.status, none.json["code"]) == (wrong.status, wrong.json["code"]) == (401, "not_authenticated")
    )


def test_a_browser_that_cannot_set_headers_gives_the_key_in_the_address():
    make_project()
    assert post(PATH, b'{"event": "a"}', QUERY_STRING=f"sentry_key={KEY}").status == 200


def test_a_foreign_origin_is_refused_where_the_key_names_its_own():
    make_project(allowed_origins=["https://app.example.org"])
    assert send("a", environ={"HTTP_ORIGIN": "https://evil.example"}).status == 403
    assert send("a", environ={"HTTP_ORIGIN": "https://app.example.org"}).status == 200


def test_no_cookie_and_no_csrf_token_is_needed():
    make_project()
    client = Client(enforce_csrf_checks=True)
    answer = client.post(PATH, b'{"event": "a"}', content_type="application/json", **BEARER)
    assert answer.status_code == 200


def test_noise_is_never_answered_with_500():
    make_project()
    for _ in range(200):
        assert post(PATH, os.urandom(60), **BEARER).status == 400
