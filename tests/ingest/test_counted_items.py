"""What is only counted: what SDKs dropped themselves, and the entries of containers."""

import pytest

from apps.ingest.models import SetAside
from tests.ingest.items import arrive, counts
from tests.ingest.wsgi import make_project

pytestmark = pytest.mark.django_db


def report(*lost):
    return {"timestamp": 1, "discarded_events": list(lost)}


def lost(reason, category, quantity=1):
    return {"reason": reason, "category": category, "quantity": quantity}


# --- Client reports ---
def test_what_an_sdk_dropped_is_counted_by_type_and_reason():
    project = make_project()
    for _ in range(2):
        arrive(project, ({"type": "client_report"}, report(
            lost("ratelimit_backoff", "error", 3), lost("sample_rate", "transaction", 40),
            lost("queue_overflow", "log_item", 7), lost("before_send", "session"),
        )))  # fmt: skip
    assert counts() == {
        ("client_report", "stored"): 2, ("event", "sdk:ratelimit_backoff"): 6, ("transaction", "sdk:sample_rate"): 80,
        ("log", "sdk:queue_overflow"): 14, ("session", "sdk:before_send"): 2,
    }  # fmt: skip


def test_reasons_and_categories_of_a_stranger_s_choice_are_counted_together():
    made_up = [lost(f"reason{n}", f"category{n}") for n in range(20)]
    arrive(make_project(), ({"type": "client_report"}, report(*made_up)))
    assert counts() == {("client_report", "stored"): 1, ("unknown", "sdk:other"): 20}


def test_bytes_are_not_counted_as_items():
    arrive(make_project(), ({"type": "client_report"}, report(
        lost("network_error", "attachment", 123_456), lost("network_error", "log_byte", 99_999))))  # fmt: skip
    assert counts() == {("client_report", "stored"): 1, ("attachment", "sdk:network_error"): 1}


@pytest.mark.parametrize("entry", [
    None, 1, [], {}, lost(None, None), lost("sample_rate", "error", 0), lost("sample_rate", "error", -1),
    lost("sample_rate", "error", "5"), lost("sample_rate", "error", True), lost("sample_rate", ["error"]),
])  # fmt: skip
def test_an_entry_without_sense_is_left_out(entry):
    arrive(make_project(), ({"type": "client_report"}, report(entry, lost("sample_rate", "error"))))
    assert counts() == {("client_report", "stored"): 1, ("event", "sdk:sample_rate"): 1}


def test_a_quantity_beyond_all_reason_does_not_stop_the_counting():
    project = make_project()
    for _ in range(2):
        arrive(project, ({"type": "client_report"}, report(*[lost("invalid", "error", 2**63)] * 100)))
    assert counts()["event", "sdk:invalid"] == 200 * 10**9


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"null", b'{"discarded_events": 1}', b"{"])
def test_a_report_that_is_none_is_set_aside(payload):
    arrive(make_project(), ({"type": "client_report"}, payload))
    assert counts() == {("client_report", "set_aside"): 1}
    assert SetAside.objects.get().kind == "client_report"


# --- Containers ---
@pytest.mark.parametrize("kind", ["log", "span", "trace_metric", "otel_log"])
def test_of_a_container_each_entry_is_counted(kind):
    arrive(make_project(), ({"type": kind, "item_count": 3}, {"items": [{"a": 1}] * 3}))
    assert counts() == {(kind, "counted"): 3}


@pytest.mark.parametrize(
    ("said", "n"), [(None, 1), (0, 1), (-5, 1), ("7", 1), (True, 1), (2.0, 1), (10**18, 10)]
)
def test_a_container_counts_as_no_more_than_it_can_hold(said, n):
    arrive(make_project(), ({"type": "log", "item_count": said}, b"x" * 30))
    assert counts() == {("log", "counted"): n}


def test_of_statsd_each_line_is_counted():
    arrive(make_project(), ({"type": "statsd"}, b"a:1|c|T1\nb:2|g|T1\n\n"))
    assert counts() == {("statsd", "counted"): 2}


@pytest.mark.parametrize(
    "kind", ["profile", "profile_chunk", "replay_event", "replay_recording", "replay_video"]
)
def test_what_is_not_kept_is_counted_under_its_name(kind):
    arrive(make_project(), ({"type": kind}, b"\x00\xff{"))
    assert counts() == {(kind, "counted"): 1}
