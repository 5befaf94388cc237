"""The JSON doors: fields and defaults of the brief, answers by name, and what the drain makes of them."""

import gzip
import os
import random
from datetime import timedelta

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from apps.core.severity import RecordSeverity
from apps.errors.models import ErrorEvent, ErrorGroup
from apps.ingest import api, drain
from apps.ingest.models import InboxEntry, SetAside
from apps.projects.models import RoutingRule
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_project, post

pytestmark = pytest.mark.django_db(transaction=True)
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}


def send(path: str, record, **environ):
    body = record if isinstance(record, bytes) else orjson.dumps(record)
    return post(f"/api/errors/{path}", body, **{**BEARER, **environ})


def stored() -> ErrorEvent:
    """The one event after the drain took it."""
    drain.drain(now=timezone.now(), slot=1)
    assert not SetAside.objects.exists()
    return ErrorEvent.objects.get()


def refused(answer, status, code, field=None):
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    if field is not None:
        assert [d["field"] for d in answer.json["details"]] == [field]
    assert not InboxEntry.objects.exists()
    return answer.json


# --- Fields and defaults ---
@pytest.mark.parametrize("path", ["", "client", "client/"])
def test_a_record_with_every_field_is_stored_as_it_was_sent(path):
    make_project()
    at = timezone.now().replace(microsecond=0) - timedelta(minutes=3)
    answer = send(
        path,
        {
            "timestamp": at.isoformat(), "component": "Journal", "errorType": "Validation Error",
            "severity": "Critical", "message": "title is missing", "userImpact": False,
            "stackTrace": "KeyError: 'title'\n    at save (app.js:3:7)",
            "resolution": {"status": "Resolved", "timeToResolve": 12, "notes": "restarted"},
            "release": "1.2", "environment": "live", "route": "/api/journal", "tags": {"os": "Linux"},
        },
    )  # fmt: skip
    assert answer.status == 201
    event = stored()
    assert answer.json == {"ok": True, "id": event.event_id}
    assert (event.occurred_at, event.component.name, event.severity) == (at, "Journal", "Critical")
    assert (event.error_type, event.message, event.user_impact) == (
        "Validation Error",
        "title is missing",
        False,
    )
    assert (event.release, event.environment, event.endpoint) == ("1.2", "live", "/api/journal")
    assert event.payload["resolution"] == {"status": "Resolved", "timeToResolve": 12, "notes": "restarted"}
    assert event.source == ("client" if path else "server")
    assert event.group.resolution_status == "Open"  # the group's own state is people's


def test_a_browsers_record_gets_the_defaults_of_the_brief():
    make_project()
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"
    record = {"errorType": "TypeError", "message": "x is undefined", "stackTrace": "", "password": "hunter2"}
    assert send("client", record, HTTP_USER_AGENT=agent).status == 201
    event = stored()
    assert (event.component.name, event.severity, event.user_impact) == ("Frontend UI", "Minor", True)
    assert (event.error_type, event.device_type, event.source) == ("TypeError", "mobile", "client")
    assert b"hunter2" not in orjson.dumps(event.payload)


@pytest.mark.parametrize(
    ("record", "error_type", "severity"),
    [
        ({"code": "23505"}, "Database Duplicate Key", "Minor"), ({"code": 11000}, "Database Duplicate Key", "Minor"),
        ({"code": "LIMIT_FILE_SIZE"}, "File Size Error", "Minor"),
        ({"code": "ECONNREFUSED"}, "Database Connection Error", "Critical"),
        ({"errorType": "ValidationError"}, "ValidationError", "Minor"),
        ({"errorType": "UnauthorizedError"}, "UnauthorizedError", "Major"),
        ({}, "Server Error", "Major"),
        ({"message": "connection refused, validation failed"}, "Server Error", "Major"),
    ],
)  # fmt: skip
def test_a_servers_record_is_classified_by_type_and_code_and_never_by_words(record, error_type, severity):
    make_project()
    assert send("", {"message": "it failed", **record}).status == 201
    event = stored()
    assert (event.error_type, event.severity, event.component.name) == (error_type, severity, "API Services")


def test_rules_place_a_record_by_its_route():
    project = make_project()
    RoutingRule.objects.create(project=project, pattern="/basket", component="Payments", order=1)
    send("", {"message": "x", "route": "/basket/add"})
    assert stored().component.name == "Payments"


# --- Refusals ---
@pytest.mark.parametrize("path", ["", "client"])
def test_an_unknown_severity_names_the_allowed_ones(path):
    make_project()
    said = refused(send(path, {"message": "x", "severity": "Apocalyptic"}), 400, "invalid_choice", "severity")
    assert all(word in said["message"] for word in RecordSeverity.values)
    assert "Apocalyptic" not in said["message"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", ""), (b"{nope", "bad_json", ""), (b"[]", "not_an_object", ""), (b'"x"', "not_an_object", ""),
        (b"{}", "required", "message"), (b'{"message":""}', "required", "message"),
        (b'{"message":7}', "invalid", "message"),
        (b'{"message":"\xff"}', "bad_encoding", ""), (b'{"message":"x","a":NaN}', "bad_number", "a"),
        (b'{"message":"x","\\r\\n\\ud800":1e400}', "bad_number", None),
        (b'{"a":' * 99 + b"1" + b"}" * 99, "too_deep", ""),
        (b'{"message":"x","timestamp":"soon"}', "invalid", "timestamp"),
        (b'{"message":"x","userImpact":"yes"}', "invalid", "userImpact"),
        (b'{"message":"x","resolution":{"status":"Done"}}', "invalid_choice", "resolution.status"),
        (b'{"message":"x","eventId":"../x"}', "invalid_event_id", "eventId"),
        (orjson.dumps({"message": "x", **{f"k{n}": n for n in range(2000)}}), "too_many_keys", ""),
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_by_the_field_that_is_wrong(body, code, field):
    make_project()
    refused(send("", body), 400, code, field)


def test_a_wrong_key_gets_the_one_answer_and_every_method_but_post_is_refused():
    make_project()
    for given in ({"HTTP_AUTHORIZATION": None}, {"HTTP_AUTHORIZATION": f"Bearer {FOREIGN_KEY}"}):
        for path in ("", "client", "batch"):
            answer = send(path, {"message": "x"}, **given)
            refused(answer, 401, "not_authenticated", "sentry_key")
            assert answer.headers["www-authenticate"] == 'Bearer realm="project key"'
    for path in ("", "client", "batch"):
        for method in ("PUT", "GET", "DELETE"):
            answer = post(f"/api/errors/{path}", method=method, **BEARER)
            assert answer.headers["allow"] == "POST, OPTIONS"
            refused(answer, 405, "method_not_allowed")


def test_sizes_and_codings_are_those_of_the_door():
    make_project()
    large = orjson.dumps({"message": "x" * api.MAX_RECORD_BYTES})
    refused(send("", large), 413, "too_large", "body")
    refused(send("", gzip.compress(large), HTTP_CONTENT_ENCODING="gzip"), 413, "too_large", "body")
    refused(send("", b"x", CONTENT_LENGTH="9" * 15), 413, "too_large", "body")
    refused(send("", b"{}", HTTP_CONTENT_ENCODING="rar"), 415, "unsupported_encoding", "Content-Encoding")
    refused(send("", b"{}", CONTENT_LENGTH="-2"), 400, "invalid_length", "Content-Length")
    answer = send("", gzip.compress(b'{"message":"x"}'), HTTP_CONTENT_ENCODING="gzip", CONTENT_LENGTH=None)
    assert answer.status == 201


def test_a_browser_may_send_from_any_page_unless_the_key_names_some():
    make_project(allowed_origins=["https://app.example.org"])
    before = post("/api/errors/client", method="OPTIONS", HTTP_ORIGIN="https://app.example.org")
    assert (before.status, before.headers["access-control-allow-origin"]) == (200, "*")
    assert "Authorization" in before.headers["access-control-allow-headers"]
    refused(
        send("client", {"message": "x"}, HTTP_ORIGIN="https://mallory.example"),
        403,
        "origin_not_allowed",
        "Origin",
    )
    assert send("client", {"message": "x"}, HTTP_ORIGIN="https://app.example.org").status == 201


def test_neither_a_session_nor_a_forgery_token_is_asked_for():
    make_project()
    client = Client(enforce_csrf_checks=True)
    answer = client.post(
        "/api/errors/client",
        b'{"message":"x"}',
        "application/json",
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status_code == 201
    assert not answer.cookies


# --- Batches ---
GOOD = {"message": "x", "errorType": "KeyError"}


def as_lines(records) -> bytes:
    return b"\n".join(r if isinstance(r, bytes) else orjson.dumps(r) for r in records)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (orjson.dumps([GOOD, GOOD, GOOD]), "application/json"),
        (b" \n\t[" + as_lines([GOOD]) + b"," + as_lines([GOOD]) + b",\n" + as_lines([GOOD]) + b"]", ""),
        (as_lines([GOOD] * 3), "application/x-ndjson"), (as_lines([GOOD] * 3) + b"\r\n\n", "application/json"),
    ],
    ids=["array", "array with spaces", "NDJSON", "NDJSON by its looks"],
)  # fmt: skip
def test_a_batch_comes_as_an_array_or_as_lines(body, kind):
    make_project()
    answer = send("batch", body, CONTENT_TYPE=kind)
    assert (answer.status, answer.json) == (202, {"accepted": 3, "duplicate": 0, "late": 0, "rejected": []})
    drain.drain(now=timezone.now(), slot=1)
    assert ErrorEvent.objects.count() == 3
    assert ErrorGroup.objects.get().event_count == 3


def test_good_records_of_a_batch_are_kept_and_bad_ones_named_by_their_place():
    make_project()
    now, one = timezone.now(), {"eventId": "a" * 32, "message": "once"}
    records = [
        {**one, "timestamp": now.isoformat()}, {**GOOD, "severity": "?"}, {**one, "timestamp": now.isoformat()}, [],
        {**GOOD, "timestamp": (now - timedelta(days=9)).isoformat()}, {"message": "y" * api.MAX_RECORD_BYTES},
        {**GOOD, "timestamp": (now + timedelta(hours=1)).timestamp()}, GOOD,
    ]  # fmt: skip
    for body in (orjson.dumps(records), as_lines(records)):
        answer = send("batch", body)
        assert answer.status == 202
        assert {k: answer.json[k] for k in ("accepted", "duplicate", "late")} == {
            "accepted": 4,
            "duplicate": 1,
            "late": 2,
        }
        assert [(r["index"], r["code"], r["field"]) for r in answer.json["rejected"]] == [
            (1, "invalid_choice", "severity"), (3, "not_an_object", ""), (5, "too_large", ""),
        ]  # fmt: skip
        assert all(r["message"] for r in answer.json["rejected"])
    drain.drain(now=timezone.now(), slot=1)
    assert ErrorEvent.objects.filter(event_id="a" * 32).count() == 1
    assert ErrorEvent.objects.count() == 7


def test_damaged_lines_are_named_and_the_others_kept():
    make_project()
    answer = send(
        "batch", as_lines([GOOD, b"{nope", b'{"message":"\xff"}', GOOD]), CONTENT_TYPE="application/x-ndjson"
    )
    assert answer.json["accepted"] == 2
    assert [(r["index"], r["code"]) for r in answer.json["rejected"]] == [
        (1, "bad_json"),
        (2, "bad_encoding"),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "required"), (b"\n\n", "required"), (b"[]", "required"), (b"[{}, 7]", "required"), (b"nope", "bad_json"),
        (b'[{"message":"x"}', "bad_json"), (b'{"errors":\n[]}', "bad_json"), (b"[" * 100 + b"]" * 100, "too_deep"),
    ],
)  # fmt: skip
def test_a_batch_of_which_nothing_is_usable_is_refused(body, code):
    make_project()
    refused(send("batch", body), 400, code)


@pytest.mark.parametrize("body", [b"[" + b"1," * 10_001 + b"1]", b"1\n" * 10_001], ids=["array", "lines"])
def test_a_batch_of_too_many_records_is_refused_before_any_is_read(body):
    make_project()
    refused(send("batch", body), 413, "too_many_records", "body")


def test_a_large_batch_of_small_records_is_stored_whole(monkeypatch):
    make_project()
    monkeypatch.setattr(api, "RECORDS_PER_ENTRY", 40)
    now = timezone.now().timestamp()
    body = as_lines([{"message": f"m{n % 7}", "timestamp": now - n / 10} for n in range(150)])
    assert send("batch", gzip.compress(body), HTTP_CONTENT_ENCODING="gzip").json["accepted"] == 150
    assert InboxEntry.objects.count() == 4
    drain.drain(now=timezone.now(), slot=1)
    assert ErrorEvent.objects.count() == 150


# --- Anything ---
PIECES = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\0", b"\xff", b"\\u0000", b"\\ud800", b"null", b"true", b"1e400",
    b"NaN", b"-", b"9" * 400, b"\n", b"\r\n", b'"message":"x"', b'"severity":', b'"tags":{', b'"timestamp":',
    b"[" * 200,
    b'"stackTrace":"Traceback\\n  File', b'"resolution":{"status":', b'"event_id":"', b'{"type":"event"}\n', b"{}\n",
    b'{"message":"x"}', b'"component":"\\u0000"', b'"userId":', b"0001-01-01", b"x" * 9000, b'"length":5',
    b"\x1f\x8b\x08",
]  # fmt: skip
PATHS = ("errors", "errors/client", "errors/batch", "{}/envelope", "{}/store")
INPUTS = 3_000 if os.environ.get("PORTAL_CI") == "1" else 300
CODINGS = ("", "", "", "gzip", "br", "zstd", "deflate", "identity", "x")


@pytest.mark.parametrize("through", ["Django's test client", "the door"])
def test_whatever_is_sent_is_taken_or_refused_in_the_one_body_and_drained(through):
    project, dice = make_project(), random.Random(11)
    statuses = set()
    for number in range(INPUTS):
        path = "/api/" + dice.choice(PATHS).format(project.pk) + dice.choice(("", "/"))
        body, coding = make_anything(dice)
        status, content = _sent_through(through, path, body, coding)
        assert status < 500, (path, body, content)
        if status >= 400:
            assert orjson.loads(content)["status"] == status
        statuses.add(status)
        if number % 100 == 99:
            drain.drain(now=timezone.now(), slot=1)
    assert {201, 202, 400, 415} <= statuses
    drain.drain(now=timezone.now(), slot=1)
    assert not InboxEntry.objects.exists()
    assert not SetAside.objects.filter(code="not_stored").exists()
    assert sum(ErrorGroup.objects.values_list("event_count", flat=True)) == ErrorEvent.objects.count() > 0


FRAMES = (
    b'{}\n{"type":"event"}\n{%s}',
    b'{"message":"x",%s}',
    b'[{"message":"x"},{%s}]',
    b'{"message":"x"}\n%s',
)


def make_anything(dice: random.Random) -> tuple[bytes, str]:
    """A body and its coding: noise, noise within a frame that is right, or right as it is."""
    body = b"".join(dice.choices(PIECES, k=dice.randrange(12)))
    frame = dice.random()
    if frame < 0.5:
        body = dice.choice(FRAMES) % body
    elif frame < 0.7:
        body = dice.choice(FRAMES) % b'"k":1'
    coding = dice.choice(CODINGS)
    return (gzip.compress(body) if coding == "gzip" and dice.random() < 0.7 else body), coding


def _sent_through(through: str, path: str, body: bytes, coding: str) -> tuple[int, bytes]:
    sentry = f"Sentry sentry_key={KEY}"
    if through == "the door":
        answer = post(path, body, HTTP_X_SENTRY_AUTH=sentry, HTTP_CONTENT_ENCODING=coding)
        return answer.status, answer.body
    if "errors" not in path:  # these never reach Django
        path = "/api/errors/client"
    given = {"X-Sentry-Auth": sentry, "Content-Encoding": coding}
    answer = Client(raise_request_exception=False).post(path, body, "application/json", headers=given)
    return (answer.status_code, answer.content)
