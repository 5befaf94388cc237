"""What the door cannot see: payloads inside a sound envelope. Bad ones are set aside with their reason, what can be
repaired is, and the good event beside them is stored."""

import json

import pytest
from django.utils import timezone

from apps.errors.models import ErrorEvent
from apps.ingest import drain
from apps.ingest.models import InboxEntry, ItemCount, SetAside
from tests.ingest.wsgi import make_envelope, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
GOOD = {"event_id": "a" * 32, "message": "the good one"}
KIB = 1024
MEBI = KIB * KIB


def number(text: bytes) -> bytes:
    return b'{"message":"x","extra":{"n":' + text + b"}}"


# An event → code and field under which it is set aside.
ASIDE = {
    "no JSON": (b"nope", "bad_json", ""),
    "empty": (b"", "bad_json", ""),
    "cut short": (b'{"message":"x","user":{"email":"bob@exa', "bad_json", ""),
    "not UTF-8": (b'{"message":"\xff\xfe"}', "bad_encoding", ""),
    "NaN": (number(b"NaN"), "bad_number", "extra.n"),
    "-Infinity": (number(b"-Infinity"), "bad_number", "extra.n"),
    "1e400": (number(b"1e400"), "bad_number", "extra.n"),
    "10**400": (number(b"1" + b"0" * 400), "bad_number", "extra.n"),
    "100,000 digits": (number(b"7" * 100_000), "bad_number", "extra.n"),
    "10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep", ""),
    "100,000 lists deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep", ""),
    "10,000 deep, and a lone surrogate": (
        b'{"b":"\\ud800","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep", "",
    ),
    "a list": (b"[]", "not_an_object", "event"),
    "null": (b"null", "not_an_object", "event"),
    "a path as its id": (b'{"event_id":"../../../etc/passwd"}', "invalid_event_id", "event_id"),
    "its id a list": (b'{"event_id":["a"]}', "invalid_event_id", "event_id"),
    "the last of two ids a path": (
        b'{"event_id":"' + b"b" * 32 + b'","event_id":"../x"}', "invalid_event_id", "event_id",
    ),
}  # fmt: skip
# An event that is stored, and how its message reads.
REPAIRED = {
    "NUL": (b'{"message":"a\\u0000b"}', "a\N{REPLACEMENT CHARACTER}b"),
    "a lone surrogate": (b'{"message":"a\\ud83db"}', "a\N{REPLACEMENT CHARACTER}b"),
    "surrogates the wrong way round": (b'{"message":"\\ude00\\ud83d"}', "\N{REPLACEMENT CHARACTER}" * 2),
    "surrogates in UTF-8": (b'{"message":"a\xed\xa0\xbdb"}', "a\N{REPLACEMENT CHARACTER}b"),
    "a byte order mark": (b'\xef\xbb\xbf{"message":"x"}', "x"),
    "the last of two keys wins": (b'{"message":"first","message":"last"}', "last"),
    "broken keys": (b'{"message":"x","tags":{"\\u0000":"y","\\ud800":"z"},"extra":{"\\u0000":1}}', "x"),
    "a million keys": (
        b'{"message":"x","extra":{' + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}}", "x",
    ),
    "100,000 tags": (
        b'{"message":"x","tags":{' + b",".join(b'"t%x":"1"' % n for n in range(80_000)) + b"}}", "x",
    ),
    "200 deep": (b'{"message":"x","extra":' + b'{"a":' * 200 + b"1" + b"}" * 201, "x"),
    "10,000 frames": (
        b'{"message":"x","stacktrace":{"frames":[' + b",".join([b'{"lineno":1}'] * 10_000) + b"]}}", "x",
    ),
    "10,000 exceptions": (
        b'{"message":"x","exception":{"values":[' + b",".join([b'{"type":"E"}'] * 10_000) + b"]}}", "x",
    ),
    "every part of a wrong kind": (
        b'{"message":"x","tags":7,"user":[],"request":"y","contexts":[1],"breadcrumbs":{"values":3},"modules":null,'
        b'"exception":"z","stacktrace":[],"level":{},"timestamp":{},"release":[],"sdk":7,"fingerprint":{},"logger":[]}',
        "x",
    ),
    "numbers at the edge": (number(b"1e308,\"m\":-9223372036854775808,\"k\":18446744073709551616"), "x"),
}  # fmt: skip


def take(*payloads: tuple[str, bytes]) -> None:
    """Through the door, then the drain: all accepted, nothing left over."""
    answer = post(f"/api/{make_project().pk}/envelope/", make_envelope(GOOD, more=payloads), **with_key())
    assert answer.status == 200, answer.body
    drain.drain(now=timezone.now(), slot=1)
    assert not InboxEntry.objects.exists()


def counted() -> dict[tuple[str, str], int]:
    return {(c.item_type, c.outcome): c.n for c in ItemCount.objects.all() if c.n}


@pytest.mark.parametrize("what", ASIDE)
def test_a_bad_event_is_set_aside_with_its_reason_and_its_neighbour_stored(what):
    raw, code, field = ASIDE[what]
    take(("event", raw))
    kept = SetAside.objects.get()
    assert (kept.kind, kept.code, kept.field, kept.size) == ("event", code, field, len(raw))
    assert kept.reason
    assert len(kept.preview) <= 200
    assert "bob@" not in kept.preview
    assert ErrorEvent.objects.get().event_id == GOOD["event_id"]
    assert counted() == {("event", "stored"): 1, ("event", "set_aside"): 1}


@pytest.mark.parametrize("what", REPAIRED)
def test_what_can_be_repaired_or_cut_is_stored(what):
    raw, message = REPAIRED[what]
    take(("event", raw))
    stored = ErrorEvent.objects.exclude(event_id=GOOD["event_id"]).get()
    assert stored.message == message
    assert len(json.dumps(stored.payload)) <= 256 * KIB
    assert not SetAside.objects.exists()
    assert counted() == {("event", "stored"): 2}


def test_an_item_over_its_limit_is_dropped_and_counted():
    take(
        ("event", b'{"message":"' + b"x" * MEBI + b'"}'),
        ("session", b" " * 17 * KIB),
        ("attachment", b"x" * 257 * KIB),
    )
    assert counted() == {
        ("event", "stored"): 1, ("event", "too_large"): 1, ("session", "too_large"): 1, ("attachment", "too_large"): 1,
    }  # fmt: skip


# Each other type of item with a reader, and what is wrong with it.
OTHER_ITEMS = [
    (kind, raw)
    for kind in ("transaction", "session", "sessions", "check_in", "client_report", "feedback", "user_report")
    for raw in (b"nope", b"[]", b"null", b'{"a":NaN}', b'{"transaction":"\xff"}', b"[" * 5000 + b"]" * 5000)
]  # fmt: skip


def test_each_type_of_item_with_a_reader_is_set_aside_by_its_own_name():
    take(*OTHER_ITEMS)
    kept = SetAside.objects.values_list("kind", flat=True)
    assert sorted(kept) == sorted(kind for kind, _ in OTHER_ITEMS)
    assert all(SetAside.objects.values_list("code", flat=True))
    assert sum(counted().values()) == 1 + len(OTHER_ITEMS)


def test_types_of_items_that_strangers_make_up_are_counted_together():
    take(
        *[
            (name, b"{}")
            for name in ("x", "../../etc", "é", "\x00", "event\u202e", "'; DROP TABLE x; --", "A" * 40)
        ]
    )
    assert counted() == {("event", "stored"): 1, ("unknown", "counted"): 7}
