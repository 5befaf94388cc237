"""What a transaction becomes: an endpoint, an outcome, a duration."""

from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.telemetry import transactions
from tests.telemetry.make import NOW, make_intake, read_transaction, sent_transaction, user


def contexts(op="http.server", status=None, code=None):
    return {"trace": {"op": op, "status": status}, "response": {"status_code": code}}


def test_a_request_of_a_server_is_read_from_what_its_sdk_sends():
    found = transactions.read(orjson.dumps(sent_transaction()), make_intake())
    assert (found.kind, found.endpoint, found.failed, found.device) == (
        "request",
        "/api/journal/{id}",
        False,
        "desktop",
    )
    assert found.duration_ms == pytest.approx(250)
    assert found.occurred_at == NOW - timedelta(seconds=1)
    assert found.user_hash == user("17")
    assert found.component_name == "API Services"


@pytest.mark.parametrize(
    ("code", "status", "failed"),
    [
        (200, "ok", False), (404, "not_found", False), (499, None, False), (500, None, True),
        (503, "unavailable", True),
        (200, "internal_error", False), (502, "ok", True), ("500", None, True), (None, "ok", False),
        (None, "internal_error", True), (None, "deadline_exceeded", True), (None, "not_found", False),
        (None, "cancelled", False), (None, None, None), (None, "", None), (None, 7, None), (True, None, None),
        ("5xx", None, None), (5000, None, None),
    ],
)  # fmt: skip
def test_a_request_has_failed_with_5xx_or_a_status_that_stands_for_it(code, status, failed):
    assert read_transaction(contexts=contexts(status=status, code=code)).failed is failed


@pytest.mark.parametrize("place", ["contexts", "tags", "pairs"])
def test_the_status_code_is_found_where_sdks_put_it(place):
    sent = {
        "contexts": {
            "contexts": {"trace": {"op": "http.server", "data": {"http.response.status_code": 500}}}
        },
        "tags": {"contexts": contexts(), "tags": {"http.status_code": "500"}},
        "pairs": {"contexts": contexts(), "tags": [["http.status_code", "500"], "odd", ["a"]]},
    }[place]
    assert read_transaction(**sent).failed is True


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("http.server", "request"), ("asgi.server", "request"), ("function.aws", "request"), ("pageload", "page"),
        ("navigation", "page"), ("ui.action", "page"), ("queue.task.celery", "task"), ("cron", "task"),
        ("db.query", "other"), ("default", "request"), (None, "request"), (7, "request"),
    ],
)  # fmt: skip
def test_what_it_was_follows_from_its_operation(op, kind):
    assert read_transaction(contexts=contexts(op=op, code=200)).kind == kind


def test_without_operation_and_status_code_it_is_no_request():
    assert read_transaction(contexts={}).kind == "other"


@pytest.mark.parametrize(
    ("source", "endpoint"), [("url", "/users/{id}"), (None, "/users/{id}"), ("route", "/users/17")]
)
def test_ids_are_taken_out_of_addresses_and_routes_are_kept(source, endpoint):
    found = read_transaction(transaction="/users/17", transaction_info={"source": source})
    assert found.endpoint == endpoint


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (100.0, 100.25, None),  # decades ago, but a duration all the same
        (NOW.timestamp() - 2, NOW.timestamp(), 2000),
        (NOW.timestamp(), NOW.timestamp() - 1, None),
        (None, NOW.timestamp(), None),
        ("x", NOW.timestamp(), None),
        (NOW.timestamp(), NOW.timestamp(), 0),
    ],
)
def test_a_duration_is_the_time_from_start_to_end(start, end, wanted):
    found = read_transaction(start_timestamp=start, timestamp=end)
    assert found.duration_ms == (pytest.approx(250) if start == 100.0 else wanted)


def test_one_whose_end_cannot_be_used_counts_where_it_was_received():
    found = read_transaction(start_timestamp=99.0, timestamp=100.0)
    assert (found.occurred_at, found.time_is_usable) == (NOW, False)


def test_the_component_is_named_by_a_tag_or_routed():
    routed = make_intake(rules=(("journal", "Journal"),))
    assert read_transaction(intake=routed).component_name == "Journal"
    assert read_transaction(intake=routed, tags={"component": "Mine"}).component_name == "Mine"
    assert read_transaction(platform="javascript").component_name == "Frontend UI"


def test_a_phone_is_told_by_its_user_agent():
    headers = [["User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)"]]
    assert read_transaction(request={"headers": headers}).device == "mobile"


@pytest.mark.parametrize("raw", [b"[]", b'"a"', b"7", b"{", b"\xff", b'{"event_id": "x"}'])
def test_what_is_no_transaction_is_refused(raw):
    with pytest.raises(Refused):
        transactions.read(raw, make_intake())


@pytest.mark.parametrize(
    "raw",
    [
        b'{"transaction": "/a\\u0000\\ud800", "tags": {"component": "B\\u0000"}}',
        b'\xef\xbb\xbf{"transaction": "/a"}',
        b'{"spans": ' + b"[" * 200 + b"]" * 200 + b', "transaction": "/a"}',
    ],
)
def test_what_is_merely_damaged_is_repaired(raw):
    found = transactions.read(raw, make_intake())
    assert found.endpoint.startswith("/a")
    assert "\0" not in found.endpoint + found.component_name


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(max_size=10)
        | st.sampled_from(("trace", "response", "status_code", "op", "status", "headers", "source")),
        inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from([*sent_transaction(), "platform"]).filter(lambda n: n != "event_id"), anything
    )
)
def test_wrong_fields_are_left_out_whatever_they_are(changed):
    sent = sent_transaction(**changed)
    found = transactions.read(orjson.dumps(sent), make_intake())
    assert found == transactions.from_sentry(
        orjson.loads(orjson.dumps(sent)), make_intake(event_id=found.event_id)
    )
    assert 0 < len(found.endpoint) <= 200
    assert found.duration_ms is None or 0 <= found.duration_ms <= 10**9
