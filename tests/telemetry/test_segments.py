"""Spans that are streamed: the first of each request counts as the transaction that older SDKs sent."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.telemetry import segments
from tests.fuzz import json_values as JSON
from tests.telemetry.make import NOW, make_intake, user

TRACE, SPAN = "0d58cd2da37541278681338df1751ad7", "a5efe52ae3a3e972"


def span(number=0, *, attributes=None, **facts):
    """As the Node SDK sends it: attributes are {name: {value, type}}."""
    said = {
        "sentry.op": "http.server", "http.response.status_code": 500, "sentry.segment.name": "GET /orders/:id",
        "sentry.segment.name.source": "route", "user.id": "17", "user_agent.original": "Mozilla/5.0 (X11; Linux)",
        **(attributes or {}),
    }  # fmt: skip
    return {
        "name": "GET", "trace_id": TRACE, "span_id": f"{int(SPAN, 16) + number:016x}", "is_segment": True,
        "status": "error", "start_timestamp": NOW.timestamp() - 0.25, "end_timestamp": NOW.timestamp(),
        "attributes": {name: {"value": value, "type": "string"} for name, value in said.items()}, **facts,
    }  # fmt: skip


def read(*spans, **more):
    return segments.read(orjson.dumps({"version": 2, "items": spans, **more}), make_intake())


def test_a_request_of_a_server_is_read_from_its_segment():
    (found,) = read(span())
    assert (found.kind, found.endpoint, found.failed, found.device) == (
        "request", "GET /orders/:id", True, "desktop")  # fmt: skip
    assert found.duration_ms == pytest.approx(250, abs=1)
    assert found.user_hash == user("17") and found.event_id == "8681338df1751ad7" + SPAN


def test_spans_below_a_segment_are_passed_over():
    found = read(
        span(), span(1, is_segment=False), span(2, is_segment=None), span(3, is_segment="true"), span(4)
    )
    assert len(found) == 2 and found[0].event_id != found[1].event_id


@pytest.mark.parametrize(("facts", "endpoint"), [
    ({"sentry.segment.name": "GET", "url.path": "/orders/17", "sentry.segment.name.source": "url"}, "GET /orders/{id}"),
    ({"sentry.segment.name": "Pageload", "url.path": "/shop/17", "sentry.op": "pageload"}, "/shop/{id}"),
    ({"sentry.segment.name": "/shop/:id", "url.path": "/shop/17", "sentry.op": "navigation"}, "/shop/:id"),
    ({"sentry.segment.name": "jobs.nightly", "sentry.segment.name.source": "task", "sentry.op": "queue.task"},
     "jobs.nightly"),
    ({"sentry.segment.name": "/orders/17", "sentry.segment.name.source": "url"}, "/orders/{id}"),
    ({"sentry.segment.name": None, "sentry.segment.name.source": None}, "GET"),
])  # fmt: skip
def test_a_segment_is_named_by_its_route_or_its_path(facts, endpoint):
    assert read(span(attributes=facts))[0].endpoint == endpoint


@pytest.mark.parametrize(("facts", "kind", "component"), [
    ({"sentry.op": "pageload"}, "page", "Frontend UI"), ({"sentry.op": "navigation"}, "page", "Frontend UI"),
    ({"browser.name": "Firefox", "sentry.op": "x"}, "other", "Frontend UI"), ({}, "request", "API Services"),
    ({"component": "Orders"}, "request", "Orders"),
])  # fmt: skip
def test_a_page_is_told_from_a_server(facts, kind, component):
    (found,) = read(span(attributes=facts))
    assert (found.kind, found.component_name) == (kind, component)


@pytest.mark.parametrize("ids", [
    {"trace_id": None}, {"span_id": 7}, {"trace_id": "x" * 32}, {"span_id": "../../../../etc/p"}, {"span_id": ""},
    {"trace_id": TRACE.upper()},
])  # fmt: skip
def test_a_segment_that_nobody_could_know_again_is_passed_over(ids):
    assert read(span(**ids)) == []


def test_a_container_may_hold_no_more_segments_than_a_few_traces_have(monkeypatch):
    monkeypatch.setattr(segments, "MOST_SEGMENTS", 2)
    assert len(read(*[span(n) for n in range(4)])) == 2


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{}", b'{"items": 1}', b'{"items": {}}', b"\xff"])
def test_what_is_no_container_is_refused(raw):
    with pytest.raises(Refused):
        segments.read(raw, make_intake())


def test_what_is_damaged_in_one_span_does_not_lose_the_others():
    raw = orjson.dumps({"items": [span(), 7, None, "x", [], span(1)]})
    assert len(segments.read(raw, make_intake())) == 2
    cut = orjson.dumps({"items": [span()]}).replace(b"orders", b"\\ud800\\u0000")
    assert "\N{REPLACEMENT CHARACTER}" in segments.read(cut, make_intake())[0].endpoint


FIELDS = st.fixed_dictionaries({
    **dict.fromkeys(("name", "status", "start_timestamp", "end_timestamp"), JSON), "is_segment": st.just(True),
    "trace_id": st.just(TRACE) | JSON, "span_id": st.just(SPAN) | JSON,
    "attributes": JSON | st.dictionaries(
        st.sampled_from(["sentry.op", "sentry.segment.name", "url.path", "user.id", "user.email", "component",
                         "user_agent.original", "http.response.status_code", "sentry.segment.name.source"]),
        st.fixed_dictionaries({"value": JSON})),
})  # fmt: skip


@given(JSON | st.fixed_dictionaries({"items": JSON | st.lists(FIELDS | JSON, max_size=3)}))
def test_any_json_is_read_or_refused(payload):
    try:
        found = segments.read(orjson.dumps(payload), make_intake())
    except Refused:
        return
    for one in found:
        assert len(one.event_id) == 32 and one.endpoint and one.component_name
