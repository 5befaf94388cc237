"""Envelopes of a real shape, damaged at random, through everything that stands between the door and the database."""

import random
import re
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.errors.new_event import NewEvent
from apps.errors.normalise import from_sentry
from apps.ingest import envelope
from apps.projects.intake import Intake
from benchmarks.decode import make_envelope, make_event
from tests.fuzz import MOST

INPUTS = MOST // 10  # of each of three kinds; whole requests take the rest (test_hostile_fuzz)
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
INTAKE = Intake(
    project_id=1, received_at=NOW, hash_key=b"k", event_id="f" * 32, rules=[("checkout", "Payments")]
)
PIECES = [
    b"\\u0000", b"\\ud800", b"\\udfff", b"\xff", b"\x00", b"\xed\xa0\x80", b"NaN", b"1e400", b"-", b"null", b"true",
    b"{}", b"[]", b"[" * 300, b"]" * 300, b'{"a":' * 40, b"}" * 40, b'"', b'":"', b",", b"\n", b"9" * 5000,
    b"x" * 70_000,
    b'"password":"hunter2",', b"bob@example.org", b"4111 1111 1111 1111", b"-----BEGIN PRIVATE KEY-----",
    b"\\", b"://:@",
    b'"event_id":"../../etc/passwd",', b'"timestamp":"0001-01-01",', b'"timestamp":1e308,', b'"level":{},',
    b'"tags":[[[]]],', b'"hunter"', b"17", b'"\\ud800"', b'"\\u0000"', b"[[[[[[]]]]]]", b'{"":{"":[]}}',
    b'"exception":[null,1,{}],', b'"exception":{"values":{"values":[]}},', b'"request":{"url":5,"headers":7},',
]  # fmt: skip


def damaged(rnd: random.Random, body: bytes) -> bytes:
    """The body with one to four places replaced, cut, doubled or filled with something hostile."""
    for _ in range(rnd.randint(1, 4)):
        at, width = rnd.randrange(len(body) + 1), rnd.choice((0, 1, 1, 2, 8, 200))
        put = rnd.choice((rnd.choice(PIECES), rnd.randbytes(rnd.randint(1, 4)), body[at : at + 300], b""))
        body = body[:at] + put + body[at + width :]
    return body


def taken(body: bytes) -> list[NewEvent]:
    items = envelope.split(body).items
    decoded = [jsontext.decode(i.payload, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None) for i in items]
    return [from_sentry(event, INTAKE) for event in decoded]


def in_envelope(event: bytes) -> bytes:
    return b'{}\n{"type":"event","length":%d}\n%s\n' % (len(event), event)


@pytest.mark.parametrize("what", ["the event", "the frame", "one text of the event"])
def test_a_damaged_envelope_becomes_events_or_is_refused_by_name(what):
    rnd = random.Random(7)
    outcomes = {"stored": 0, "refused": 0}
    for n in range(INPUTS):
        if n % 100 == 0:
            event = orjson.dumps(make_event(rnd, NOW - timedelta(seconds=n % 9)))
            whole = make_envelope(event)
            assert len(taken(whole)) == 1
        body = make_damaged(rnd, event, whole, what)
        try:
            events = taken(body)
        except Refused as refused:
            assert refused.status == 400
            assert refused.code
            outcomes["refused"] += 1
            continue
        for stored in events:
            assert b"hunter2" not in orjson.dumps(stored.payload) or not named(body), body
            assert "\0" not in stored.message + stored.title + stored.culprit
        outcomes["stored"] += 1
    assert min(outcomes.values()) > INPUTS // 70, outcomes  # both ways are really walked


def named(body: bytes) -> bool:
    """Every password in it still stands under a name that says so: a second damage may have cut the name away."""
    return len(re.findall(rb'[{,]\s*"password":"hunter2"', body)) == body.count(b"hunter2")


def make_damaged(rnd: random.Random, event: bytes, whole: bytes, what: str) -> bytes:
    if what == "the frame":
        return damaged(rnd, whole)
    if what == "the event":
        return in_envelope(damaged(rnd, event))
    at = rnd.choice([place for place, byte in enumerate(event) if byte == ord(":")])
    return in_envelope(event[: at + 1] + rnd.choice(PIECES) + b"," + event[at + 1 :].partition(b",")[2])
