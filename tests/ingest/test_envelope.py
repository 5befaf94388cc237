import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.ingest import envelope
from apps.ingest.envelope import split
from tests.fuzz import fewer, thorough

EVENT_ID = "9ec79c33ec9942ab8353589fcb2e04dc"


def make_envelope(*items, header=None, with_length=True):
    """Items are (type, payload) or (item header, payload)."""
    lines = [json.dumps({"event_id": EVENT_ID} if header is None else header).encode()]
    for head, payload in items:
        head = {"type": head} if isinstance(head, str) else head
        if with_length:
            head = {"length": len(payload), **head}
        lines += [json.dumps(head).encode(), payload]
    return b"\n".join(lines) + b"\n"


def refused(body, **limits):
    with pytest.raises(Refused) as caught:
        split(body, **limits)
    assert caught.value.status == 400
    return caught.value.code, caught.value.field


@pytest.mark.parametrize("with_length", [True, False])
def test_items_come_out_in_order_with_their_headers(with_length):
    found = split(make_envelope(("event", b'{"a":1}'), ("session", b"{}"), with_length=with_length))
    assert [(item.type, item.payload) for item in found.items] == [("event", b'{"a":1}'), ("session", b"{}")]
    assert found.items[0].headers["type"] == "event"
    assert found.event_id == EVENT_ID
    assert not found.dropped


def test_a_payload_with_a_length_may_hold_newlines_and_anything():
    payload = b'\n{"type":"event"}\n\0\xff\n'
    found = split(make_envelope(("attachment", payload), ("event", b"{}")))
    assert [item.payload for item in found.items] == [payload, b"{}"]


@pytest.mark.parametrize(
    ("body", "types"),
    [
        (b"{}", []),
        (b"{}\n", []),
        (b"{}\n\n\n", []),
        (b'{}\n{"type":"event"}', ["event"]),
        (b'{}\n{"type":"event"}\n', ["event"]),
        (b'{}\n{"type":"event","length":2}\n{}', ["event"]),
        (b'{}\n{"type":"event","length":0}\n\n{"type":"session"}\n{}', ["event", "session"]),
        (b'{}\n\n{"type":"event","length":2}\n{}\n\n', ["event"]),
        (b'{}\r\n{"type":"event","length":2}\r\n{}\n', ["event"]),
        (b'{}\n{"type":"event","length":null}\n{}\n', ["event"]),
        (
            b'{}\n{"type":"replay_recording"}\n{}\n{"type":"new in 2030"}\n',
            ["replay_recording", "new in 2030"],
        ),
    ],
)
def test_newlines_at_the_edges_and_unknown_types_are_taken(body, types):
    assert [item.type for item in split(body).items] == types


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", "header"),
        (b"\n{}", "bad_json", "header"),
        (b"[]\n", "not_an_object", "header"),
        (b'{"a": NaN}\n', "bad_number", "header.a"),
        (b"{\xff}\n", "bad_encoding", "header"),
        (b"[" * 5000 + b"\n", "too_deep", "header"),
        (b'{"a":"' + b"x" * 9000 + b'"}\n', "too_large", "header"),
        (b"{" + b"x" * 70_000, "too_large", "header"),
        (b'{"event_id":"../../etc/passwd"}\n', "invalid_event_id", "header.event_id"),
        (b'{"event_id":"' + b"g" * 32 + b'"}\n', "invalid_event_id", "header.event_id"),
        (b'{"event_id":7}\n', "invalid_event_id", "header.event_id"),
        (b"{}\nnonsense\n", "bad_json", "items[0]"),
        (b'{}\n"type"\n', "not_an_object", "items[0]"),
        (b"{}\n{}\n", "required", "items[0].type"),
        (b'{}\n{"type":5}\n', "required", "items[0].type"),
        (b'{}\n{"type":""}\n', "required", "items[0].type"),
        (b'{}\n{"type":"' + b"t" * 41 + b'"}\n', "required", "items[0].type"),
        (b'{}\n{"type":"event"}\n{}\n{"type":"' + b"x" * 9000, "too_large", "items[1]"),
        (b'{}\n{"type":"event","length":3}\n{}', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":1}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":-1}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":"2"}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":2.0}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":true}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":1e300}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":18446744073709551615}\n{}\n', "invalid_length", "items[0].length"),
        (b'{}\n{"type":"event","length":2}', "invalid_length", "items[0].length"),
    ],
)
def test_a_wrong_frame_is_refused_and_the_place_named(body, code, field):
    assert refused(body) == (code, field)


def test_event_ids_are_taken_in_both_forms_and_made_one():
    for form in (EVENT_ID, EVENT_ID.upper(), "9ec79c33-ec99-42ab-8353-589fcb2e04dc"):
        assert split(make_envelope(header={"event_id": form})).event_id == EVENT_ID
    for missing in ({}, {"event_id": None}, {"event_id": ""}, {"event_id": "0" * 32}):
        assert split(make_envelope(header=missing)).event_id is None


def test_nul_and_lone_surrogates_in_headers_are_repaired():
    found = split(b'{"sdk":"\\u0000\\ud800"}\n{"type":"event","filename":"\\udfff"}\n{}\n')
    assert found.header["sdk"] == "\ufffd\ufffd"
    assert found.items[0].headers["filename"] == "\ufffd"


def test_an_item_over_its_own_limit_is_dropped_and_counted_and_the_rest_kept():
    large = b"x" * (envelope.ITEM_BYTES["event"] + 1)
    found = split(make_envelope(("event", large), ("session", b"{}"), ("event", large), ("event", b"{}")))
    assert [item.type for item in found.items] == ["session", "event"]
    assert found.dropped == {"event": 2}
    assert len(split(make_envelope(("event", large[:-1]))).items) == 1


def test_unknown_types_have_a_limit_too():
    found = split(make_envelope(("novelty", b"x" * (envelope.DEFAULT_ITEM_BYTES + 1))))
    assert found.dropped == {"novelty": 1}


def test_a_hundred_items_are_taken_and_one_more_is_refused():
    assert len(split(make_envelope(*[("event", b"{}")] * 100)).items) == 100
    assert refused(make_envelope(*[("event", b"{}")] * 101)) == ("too_many_items", "items")
    assert refused(make_envelope(*[("event", b"{}")] * 3), max_items=2) == ("too_many_items", "items")


payloads = st.binary(max_size=50)


@fewer
@given(st.lists(st.tuples(st.text(min_size=1, max_size=40, alphabet="abc_"), payloads), max_size=5))
def test_what_is_joined_with_lengths_is_split_again(items):
    found = split(make_envelope(*items))
    assert [(item.type, item.payload) for item in found.items] == items


@thorough
@given(st.binary(max_size=80))
def test_any_bytes_are_split_or_refused(body):
    try:
        split(body)
    except Refused as found:
        assert found.status == 400
        assert found.field.startswith(("header", "items"))


@thorough
@given(st.integers(0, 200), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_envelope_is_split_or_refused(place, put, taken):
    body = make_envelope(("event", b'{"a":"b"}'), ("session", b"{}"), ("attachment", b"\n\n\0"))
    try:
        found = split(body[:place] + put + body[place + taken :])
        assert sum(len(item.payload) for item in found.items) <= len(body) + len(put)
    except Refused as wrong:
        assert wrong.status == 400
