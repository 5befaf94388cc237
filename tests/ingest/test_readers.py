"""Every reader of items, on anything at all: it reads, or it refuses in words; nothing else comes out."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.items import READERS
from apps.ingest.models import EntryKind, InboxEntry
from apps.projects.intake import Intake
from tests.fuzz import fewer
from tests.fuzz import json_values as JSON

NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
# Names that some reader looks for, so that what lies below them is reached too.
NAMES = st.sampled_from([
    "event_id", "timestamp", "type", "contexts", "feedback", "trace", "message", "comments", "user", "email", "tags",
    "discarded_events", "reason", "category", "quantity", "monitor_slug", "check_in_id", "status", "duration",
    "monitor_config", "schedule", "sid", "init", "started", "attrs", "release", "aggregates", "items", "attributes",
    "is_segment", "trace_id", "span_id", "exception", "values", "stacktrace", "frames", "transaction", "request",
])  # fmt: skip
DEEP = st.recursive(
    JSON | st.sampled_from(["ok", "exited", "a" * 32, "2026-11-02T03:00:00Z", NOW.timestamp(), 1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
HEADERS = st.dictionaries(
    st.sampled_from(["item_count", "filename", "content_type", "attachment_type", "length"]), JSON
)


def read(kind: str, headers: dict, payload: bytes) -> Batch:
    batch = Batch()
    entry = InboxEntry(received_at=NOW, project_id=1, kind=EntryKind.ENVELOPE, body=b"")
    intake = Intake(project_id=1, received_at=NOW, hash_key=b"k", event_id="e" * 32)
    READERS[kind](Item(kind, {"type": kind, **headers}, payload), entry, intake, batch)
    return batch


@fewer
@given(headers=HEADERS, payload=DEEP.map(orjson.dumps) | st.binary(max_size=200))
def test_every_reader_reads_or_refuses(headers, payload):
    for kind in READERS:
        try:
            batch = read(kind, headers, payload)
        except Refused as refused:
            assert refused.code and refused.message and len(refused.message) < 500
            continue
        assert batch.aside == [] and batch.failed == []
        assert all(n >= 0 for n in batch.counts.values())


@pytest.mark.parametrize("kind", sorted(READERS))
@pytest.mark.parametrize("payload", [
    b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"1e400", b"1" * 5000, b"NaN", b'"\\ud800"', b"\xff",
    b"{" + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}", b'{"a":1,"a":2}', b'"\\u0000"',
], ids=["lists", "objects", "infinity", "digits", "nan", "surrogate", "bytes", "keys", "twice", "nul"])  # fmt: skip
def test_what_is_hostile_is_read_or_refused_too(kind, payload):
    try:
        read(kind, {"filename": "a.json"}, payload)
    except Refused as refused:
        assert refused.message
