from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.core.scrub import REMOVED
from apps.errors import new_event
from apps.errors.records import from_record
from apps.projects.intake import Intake, user_hash
from tests.fuzz import json_values, thorough

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
TRACE = "Traceback (most recent call last):\n  File \"/app/shop/orders.py\", line 3, in pay\n    x()\nKeyError: 'usd'\n"


def make_intake(**more):
    return Intake(
        **{
            "project_id": 7,
            "received_at": NOW,
            "hash_key": b"k",
            "event_id": "f" * 32,
            "source": "server",
            **more,
        }
    )


def refused(record, **intake):
    with pytest.raises(Refused) as caught:
        from_record(record, make_intake(**intake))
    assert caught.value.status == 400
    return caught.value.code, caught.value.field


def test_a_record_with_all_fields_of_the_brief():
    event = from_record(
        {
            "timestamp": "2026-11-22T17:00:00Z",
            "component": "Journal",
            "errorType": "Validation Error",
            "severity": "Critical",
            "message": "title is missing",
            "stackTrace": TRACE,
            "userImpact": False,
            "resolution": {
                "status": "In Progress",
                "timeToResolve": 30,
                "notes": "Bob looks, password=hunter2",
            },
        },
        make_intake(),
    )
    assert (event.occurred_at, event.time_is_usable) == (NOW - timedelta(hours=1), True)
    assert (event.component_name, event.component_is_named) == ("Journal", True)
    assert (event.error_type, event.exception_type) == ("Validation Error", "KeyError")
    assert (event.severity, event.level, event.user_impact) == ("Critical", "fatal", False)
    assert event.message == "title is missing"
    assert event.payload["stack_trace"] == TRACE
    assert event.payload["exceptions"][0]["stacktrace"]["frames"][0]["function"] == "pay"
    assert event.payload["resolution"] == {
        "status": "In Progress", "timeToResolve": 30, "notes": f"Bob looks, password={REMOVED}",
    }  # fmt: skip
    assert event.source == "server"


def test_a_browsers_record_has_the_defaults_of_the_brief():
    event = from_record(
        {"message": "x is undefined"}, make_intake(source="client", user_agent="Mozilla/5.0 (iPhone)")
    )
    assert (event.component_name, event.severity, event.user_impact) == ("Frontend UI", "Minor", True)
    assert (event.source, event.platform, event.device) == ("client", "javascript", "mobile")
    assert not event.time_is_usable
    assert event.event_id == "f" * 32


@pytest.mark.parametrize(
    ("record", "error_type", "severity"),
    [
        ({}, "Server Error", "Major"),
        ({"code": "ECONNREFUSED"}, "Database Connection Error", "Critical"),
        ({"code": 11000}, "Database Duplicate Key", "Minor"),
        ({"errorType": "Validation Error"}, "Validation Error", "Minor"),
        ({"errorType": "Database Connection Error"}, "Database Connection Error", "Critical"),
        ({"errorType": "JsonWebTokenError"}, "JsonWebTokenError", "Major"),
        ({"errorType": "TypeError"}, "TypeError", "Major"),
        ({"stackTrace": TRACE.replace("KeyError", "ValidationError")}, "Validation Error", "Minor"),
        ({"severity": "SEV1"}, "Server Error", "Critical"),
        ({"severity": "low"}, "Server Error", "Minor"),
        ({"message": "ECONNREFUSED duplicate key validation"}, "Server Error", "Major"),
    ],
)
def test_what_the_sender_did_not_say_is_classified_by_type_and_code(record, error_type, severity):
    event = from_record({"message": "it failed", **record}, make_intake())
    assert (event.error_type, event.severity) == (error_type, severity)


def test_the_component_comes_from_the_route():
    rules = [("auth", "Authentication")]
    for field in ("route", "endpoint"):
        event = from_record({"message": "x", field: "/api/auth/login"}, make_intake(rules=rules))
        assert (event.component_name, event.route) == ("Authentication", "/api/auth/login")
    assert from_record({"message": "x"}, make_intake()).component_name == "API Services"
    assert from_record({"message": "x"}, make_intake(default_component="Shop")).component_name == "Shop"


def test_a_trace_alone_is_enough():
    event = from_record({"stackTrace": TRACE}, make_intake())
    assert event.title == "KeyError: 'usd'"
    assert event.message == "KeyError: 'usd'"


def test_records_group_by_place_and_else_by_type_and_message():
    def print_of(**record):
        return from_record(record, make_intake()).fingerprint

    assert print_of(message="a", stackTrace=TRACE) == print_of(
        message="b", stackTrace=TRACE.replace("line 3", "line 9")
    )
    assert print_of(message="order 1 lost") == print_of(message="order 2 lost")
    assert print_of(message="order 1 lost") != print_of(message="order 1 lost", errorType="TypeError")
    assert print_of(message="a", fingerprint=["mine"]) == print_of(message="b", fingerprint=["mine"])


def test_secrets_and_people_are_left_out_everywhere():
    event = from_record(
        {
            "message": "mail to bob@example.org with sk_live_4eC39HqLyjWDarjt failed",
            "stackTrace": "Error: token=t0ps3cret\n    at pay (https://bob:pw1@example.org/app.js:1:2)",
            "tags": {"password": "hunter2", "who": "carol@example.org"},
            "userId": "42",
            "url": "https://shop.example.org/x?token=t0ps3cret",
            "extraStuff": {"phone": "+49 30 1234567", "apiKey": "abc", "plain": "kept"},
        },
        make_intake(),
    )
    kept = orjson.dumps(
        {name: getattr(event, name) for name in event.__struct_fields__ if name != "user_hash"}
    ).decode()
    for secret in ("bob", "carol", "hunter2", "4eC39H", "t0ps3cret", "pw1", "1234567", "abc", '"42"'):
        assert secret not in kept, secret
    assert event.payload["extra"]["extraStuff"]["plain"] == "kept"
    assert event.user_hash == user_hash(b"k", 7, "42")


@pytest.mark.parametrize(
    ("record", "code", "field"),
    [
        ([], "not_an_object", ""),
        ("text", "not_an_object", ""),
        (None, "not_an_object", ""),
        ({}, "required", "message"),
        ({"message": "  "}, "required", "message"),
        ({"message": 5}, "invalid", "message"),
        ({"message": ["x"]}, "invalid", "message"),
        ({"message": "x", "stackTrace": {}}, "invalid", "stackTrace"),
        ({"message": "x", "component": 5}, "invalid", "component"),
        ({"message": "x", "errorType": []}, "invalid", "errorType"),
        ({"message": "x", "severity": "catastrophic"}, "invalid_choice", "severity"),
        ({"message": "x", "severity": 5}, "invalid_choice", "severity"),
        ({"message": "x", "userImpact": "yes"}, "invalid", "userImpact"),
        ({"message": "x", "userImpact": 1}, "invalid", "userImpact"),
        ({"message": "x", "timestamp": "yesterday"}, "invalid", "timestamp"),
        ({"message": "x", "timestamp": []}, "invalid", "timestamp"),
        ({"message": "x", "code": {}}, "invalid", "code"),
        ({"message": "x", "code": True}, "invalid", "code"),
        ({"message": "x", "tags": ["a"]}, "invalid", "tags"),
        ({"message": "x", "resolution": "Open"}, "invalid", "resolution"),
        ({"message": "x", "resolution": {"status": "Done"}}, "invalid_choice", "resolution.status"),
        ({"message": "x", "resolution": {"timeToResolve": -1}}, "invalid", "resolution.timeToResolve"),
        ({"message": "x", "resolution": {"timeToResolve": "5"}}, "invalid", "resolution.timeToResolve"),
        ({"message": "x", "resolution": {"notes": 5}}, "invalid", "resolution.notes"),
        ({"message": "x", "eventId": "../../etc/passwd"}, "invalid_event_id", "eventId"),
        ({"message": "x", "event_id": 5}, "invalid_event_id", "event_id"),
        ({"message": "x", "route": 5}, "invalid", "route"),
        ({"message": "x", "release": {}}, "invalid", "release"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(record, code, field):
    assert refused(record) == (code, field)


def test_an_unknown_severity_names_the_allowed_ones():
    with pytest.raises(Refused, match="Critical, Major, Minor"):
        from_record({"message": "x", "severity": "catastrophic"}, make_intake())


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"])
def test_a_time_outside_the_window_is_replaced_and_flagged(at):
    event = from_record({"message": "x", "timestamp": at}, make_intake())
    assert (event.occurred_at, event.time_is_usable) == (NOW, False)


def test_limits_of_a_record():
    event = from_record(
        {
            "message": "m" * 100_000,
            "stackTrace": "Error: x\n" + "    at f (https://example.org/a.js:1:2)\n" * 5000,
            "component": "c" * 500,
            "errorType": "e" * 500,
            "tags": {str(n): "x" * 500 for n in range(500)},
        },
        make_intake(),
    )
    assert len(event.message) == new_event.MAX_MESSAGE
    assert len(event.payload["stack_trace"]) <= new_event.MAX_STACK
    assert (len(event.component_name), len(event.error_type)) == (80, 80)
    assert (len(event.tags), len(event.tags["7"])) == (100, 200)


FIELDS = ["timestamp", "component", "errorType", "severity", "message", "stackTrace", "userImpact",
          "resolution", "code", "route",
          "eventId", "userId", "user", "tags", "fingerprint", "userAgent", "url", "method", "anything"]  # fmt: skip


@thorough
@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6))
def test_any_record_becomes_an_event_or_is_refused_by_the_name_of_a_field(record):
    try:
        event = from_record(record, make_intake())
    except Refused as found:
        assert found.field.split(".")[0] in FIELDS
        return
    orjson.dumps(event.payload)
    assert event.message.strip()
    assert event.component_name
    assert len(event.fingerprint) == 64
