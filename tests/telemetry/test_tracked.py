"""What a tracked event's body becomes: checked by name, told apart by its fields, without who it was."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.telemetry import tracked
from apps.telemetry.known_events import EVENTS, PAGING
from tests.telemetry.make import NOW, make_intake, track, user

GOOD = {
    "feature_used": {"feature": "export", "user_id": 17, "duration_seconds": 2.5},
    "trial_conversion": {"trial_type": "14 days", "converted": True},
    "api_response_time": {"endpoint": "/api/users/17", "response_time_ms": 120},
    "cache_performance": {"key": "journal:entries:42", "hit": False, "ttl": 300},
    "ai_failure": {"feature": "prompt", "ai_provider": "acme", "reason": "timeout", "fallback_used": True},
    "slow_endpoint": {"endpoint": "/api/export", "duration_ms": 4200},
    "session_stabilization_failure": {"attempts": 3, "reason": "token expired"},
    "beta_register_rate_limited": {"ip": "203.0.113.9"},
    "formspree_failure": {"message": "HTTP 500"},
    "data_consistency_error": {"expected": 3, "actual": None},
    "client_error": {"message": "x is undefined", "context": {"page": "/write"}, "userAgent": "iPhone"},
}


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_known_event_is_taken_with_the_fields_that_it_is_documented_to_have(event):
    found = track(event, GOOD.get(event, {}))
    assert found.name == event
    assert found.component_name


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ("feature_used", ("export", "", "", "", 2500.0)),
        ("trial_conversion", ("14 days", "", "", "converted", None)),
        ("api_response_time", ("/api/users/{id}", "", "", "", 120.0)),
        ("cache_performance", ("journal", "", "", "miss", None)),
        ("ai_failure", ("prompt", "acme", "timeout", "fallback", None)),
        ("slow_endpoint", ("/api/export", "", "", "", 4200.0)),
        ("session_stabilization_failure", ("", "", "token expired", "", None)),
        ("formspree_failure", ("", "", "HTTP 500", "", None)),
        ("client_error", ("", "", "x is undefined", "", None)),
    ],
)
def test_a_known_event_is_told_apart_by_its_fields(event, wanted):
    found = track(event, GOOD[event])
    assert (found.subject, found.provider, found.reason, found.outcome, found.duration_ms) == wanted


@pytest.mark.parametrize(
    ("event", "field"), [(event, field) for event, known in EVENTS.items() for field in known.required]
)
def test_a_missing_field_of_a_known_event_is_named(event, field):
    data = {name: value for name, value in GOOD[event].items() if name != field}
    with pytest.raises(Refused) as refused:
        track(event, data)
    assert (refused.value.code, refused.value.field) == ("required", f"data.{field}")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (event, field)
        for event, known in EVENTS.items()
        for field, kind in known.fields.items()
        if kind != "any"
    ],
)
def test_a_field_of_the_wrong_kind_is_named(event, field):
    with pytest.raises(Refused) as refused:
        track(event, GOOD.get(event, {}) | {field: ["a list"]})
    assert (refused.value.code, refused.value.field) == ("invalid", f"data.{field}")


@pytest.mark.parametrize("value", [-1, True, "12", [], {}])
def test_a_duration_is_a_number_of_zero_or_more(value):
    with pytest.raises(Refused, match="not a number"):
        track("api_response_time", {"endpoint": "/", "response_time_ms": value})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        ("text", ""),
        ({}, "event"),
        ({"event": ""}, "event"),
        ({"event": "  "}, "event"),
        ({"event": 7}, "event"),
        ({"event": "x" * 81}, "event"),
        ({"event": "a", "data": []}, "data"),
        ({"event": "a", "data": "x"}, "data"),
        ({"event": "a", "timestamp": "yesterday"}, "timestamp"),
        ({"event": "a", "event_id": "no id"}, "event_id"),
        ({"event": "client_error", "data": {"message": "m", "severity": "loud"}}, "data.severity"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_by_name(body, field):
    with pytest.raises(Refused) as refused:
        tracked.from_body(body, make_intake())
    assert refused.value.field == field


def test_an_unknown_event_is_taken_with_whatever_fields_it_has():
    found = track(
        "basket_emptied", {"items": 3, "severity": "no word", "duration_ms": "soon", "converted": 7}
    )
    assert (found.name, found.severity, found.duration_ms, found.subject) == ("basket_emptied", "", None, "")
    assert found.data["items"] == 3


def test_an_unknown_event_whose_name_says_error_has_a_severity():
    assert track("basket_error").severity == "Minor"
    assert track("basket_error", {"severity": "SEV1"}).severity == "Critical"


def test_a_trial_that_did_not_convert_has_expired():
    for data in ({}, {"converted": False}, {"converted": None}):
        assert track("trial_conversion", {"trial_type": "14 days"} | data).outcome == "expired"


@pytest.mark.parametrize(
    "data", [{"user_id": 17}, {"userId": "17"}, {"user": {"id": 17, "email": "bob@example.org"}}]
)
def test_the_user_is_kept_as_a_hash_alone(data):
    found = track("feature_used", {"feature": "export", **data})
    assert found.user_hash == user("17")
    assert found.data == {"feature": "export"}


def test_addresses_are_kept_as_their_hashes_alone():
    found = track("beta_register_rate_limited", {"ip": "203.0.113.9"})
    again = track("beta_register_rate_limited", {"ip": " 203.0.113.9 "})
    other = track("beta_register_rate_limited", {"ip": "203.0.113.10"})
    assert found.subject == again.subject != other.subject
    assert found.data == {"ip_hash": found.subject}
    lockout = track("security_incident_lockout", {"email": "mallory@example.org", "ip": "203.0.113.9"})
    assert set(lockout.data) == {"ip_hash", "email_hash"}
    assert "203.0.113" not in json.dumps([lockout.data, found.data])


def test_secrets_leave_the_data():
    found = track(
        "client_error", {"message": "mail to bob@example.org", "context": {"password": "tea", "page": "/"}}
    )
    assert found.data["context"]["password"] == "[removed]"
    assert "bob@example.org" not in json.dumps(found.data) + found.reason


@pytest.mark.parametrize("event", PAGING)
def test_the_five_that_page_are_critical(event):
    assert track(event).severity == "Critical"


@pytest.mark.parametrize(
    ("event", "component"),
    [
        ("auth_system_failure", "Authentication"),
        ("security_incident_lockout", "Authentication"),
        ("stripe_checkout_error", "Payments"),
    ],
)
def test_events_that_rules_wait_for_belong_where_those_rules_look_whatever_the_sender_says(event, component):
    assert track(event, {"component": "Elsewhere"}).component_name == component


def test_a_component_comes_from_the_sender_the_route_or_the_project_in_this_order():
    rules = (("auth", "Authentication"),)
    placed = make_intake(rules=rules, default_component="Journal")
    timing = {"endpoint": "/api/auth/login", "response_time_ms": 3}
    assert track("api_response_time", timing | {"component": "Mine"}, intake=placed).component_name == "Mine"
    assert track("api_response_time", timing, intake=placed).component_name == "Authentication"
    assert track("feature_used", {"feature": "x"}, intake=placed).component_name == "Journal"
    assert track("feature_used", {"feature": "x"}).component_name == "API Services"
    assert track("client_error", {"message": "m"}).component_name == "Frontend UI"


def test_the_senders_time_is_used_where_it_can_be():
    usable = track("a", timestamp=(NOW - timedelta(hours=2)).isoformat())
    assert (usable.occurred_at, usable.time_is_usable) == (NOW - timedelta(hours=2), True)
    ahead = track("a", timestamp=(NOW + timedelta(hours=2)).timestamp())
    assert (ahead.occurred_at, ahead.time_is_usable) == (NOW, False)


def test_the_senders_id_is_kept_so_that_a_retry_is_known():
    assert track("a", event_id="A" * 32).event_id == "a" * 32


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
field_names = st.sampled_from(
    sorted({name for known in EVENTS.values() for name in known.fields} | {"user", "component"})
)


@given(
    st.sampled_from(sorted(EVENTS)) | st.text(max_size=90),
    st.dictionaries(field_names, json_values, max_size=6),
)
def test_anything_at_all_is_taken_within_bounds_or_refused_by_name(event, data):
    try:
        found = track(event, data)
    except Refused as refused:
        assert refused.field
        return
    assert 0 < len(found.name) <= 80
    assert max(len(found.subject), len(found.reason)) <= 200
    assert len(found.provider) <= 80
    assert found.duration_ms is None or 0 <= found.duration_ms <= 10**9
