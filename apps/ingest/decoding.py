"""From inbox entries to events, what is set aside, and counts: everything a drain knows before it writes."""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from django.conf import settings

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.core.scrub import REMOVED, is_secret_key, scrub_text
from apps.core.text import storable
from apps.errors import normalise
from apps.errors.new_event import Intake, NewEvent
from apps.ingest import envelope
from apps.ingest.models import EntryKind, InboxEntry, SetAside
from apps.ingest.unpack import unpack
from apps.projects.queries import RoutingTable

log = structlog.get_logger("portal.drain")
PREVIEW_CHARS = 200
_READ_FOR_PREVIEW = 1024  # beyond what is shown, so that no half of a secret stays at the cut
_EVENTS = frozenset({"event"})
# Item types that SDKs send. Others are counted together: their names are a stranger's to choose.
_KNOWN_TYPES = frozenset((
    *envelope.ITEM_BYTES, "user_report_v2", "statsd", "metric_meta", "trace_metric", "log", "otel_log", "span",
    "profile", "profile_chunk", "replay_event", "replay_recording", "replay_video", "security", "raw_security", "nel",
    "form_data", "unreal_report", "store", "envelope", "records",
))  # fmt: skip
UNKNOWN_TYPE = "unknown"


@dataclass
class Batch:
    """What some entries came to, before any of it is written. `unpacked` is in bytes."""

    events: list[NewEvent] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)
    counts: Counter[tuple[Any, int, str, str]] = field(default_factory=Counter)
    failed: list[tuple[InboxEntry, Exception]] = field(default_factory=list)
    unpacked: int = 0

    def count(self, entry: InboxEntry, item_type: str, outcome: str, n: int = 1) -> None:
        """Nothing disappears uncounted."""
        named = item_type if item_type in _KNOWN_TYPES else UNKNOWN_TYPE
        self.counts[entry.received_at.date(), entry.project_id, named, outcome] += n

    def set_aside(self, entry: InboxEntry, item_type: str, raw: bytes, refused: Refused) -> None:
        """Keep why, how large, its digest, and its first bytes scrubbed."""
        self.count(entry, item_type, "set_aside")
        self.aside.append(
            SetAside(
                received_at=entry.received_at,
                project_id=entry.project_id,
                kind=item_type[:32],
                code=refused.code,
                field=scrub_text(storable(refused.field), PREVIEW_CHARS),
                reason=storable(refused.message),
                size=len(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
                preview=preview(raw),
            )
        )

    def add(self, other: "Batch") -> None:
        """Take over what one entry came to, once all of it is known."""
        self.events += other.events
        self.aside += other.aside
        self.counts += other.counts


# Keys and values of JSON that may be damaged: a value is a text, a word, or a container, of which nobody knows the end.
_FIELD = re.compile(
    r'"((?:[^"\\]|\\.){1,200})"\s{0,8}:\s{0,8}("(?:[^"\\]|\\.)*"?|[\[{].*|[^\s,}\]]+)', re.DOTALL
)
_PERSONAL = frozenset(
    ("user", "username", "user_id", "ip", "ip_address", "data", "query_string", "env", "name")
)


def preview(raw: bytes) -> str:
    """The first 200 characters without secrets, and without what a stored event would not keep of a person."""
    text = storable(bytes(raw[:_READ_FOR_PREVIEW]).decode("utf-8", "replace"))
    return scrub_text(_hide(text), PREVIEW_CHARS)[:PREVIEW_CHARS]


def _hide(text: str) -> str:
    def hidden(match: re.Match[str]) -> str:
        key = _unescaped(match[1])
        if key.lower() in _PERSONAL or is_secret_key(key):
            return f'"{match[1]}": {REMOVED}'
        if match[2][0] in "[{":  # not hidden itself, but what stands in it may be
            start = match.start(2) - match.start()
            return match[0][: start + 1] + _hide(match[2][1:])
        return match[0]

    return _FIELD.sub(hidden, text)


def _unescaped(key: str) -> str:
    """A key as its reader will see it: `pass\\u0077ord` is one too."""
    try:
        return str(jsontext.decode(f'"{key}"'))
    except jsontext.JsonRefused:
        return key


@lru_cache(maxsize=1)
def hash_key() -> bytes:
    """Key of the user hashes: derived, so that it is never the signing key itself."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"portal:user-hash", hashlib.sha256)


def decode(entry: InboxEntry, batch: Batch, routing: RoutingTable) -> None:
    """One entry into the batch. The edge of a unit of work: whatever its bytes do, the other entries go on.

    What they make wrong is set aside; what is wrong with us goes to `batch.failed`, for the entry to be tried again.
    """
    own, raw = Batch(), bytes(entry.body)
    try:
        if not routing.has(entry.project_id):
            raise Refused("project_gone", "its project was deleted", "project")
        if entry.kind != EntryKind.RECORDS:  # those are our own encoding, as long as the door made them
            limit = (
                settings.EVENT_MAX_BYTES if entry.kind == EntryKind.STORE else settings.ENVELOPE_MAX_UNPACKED
            )
            raw = unpack(raw, entry.coding, max_bytes=limit)
        own.events += _events(entry, raw, own, routing)
    except Refused as refused:
        own = Batch()
        own.set_aside(entry, EntryKind(entry.kind).name.lower(), raw, refused)
    except Exception as error:
        log.exception("an entry could not be decoded", entry=entry.pk)
        batch.failed.append((entry, error))
        return
    batch.unpacked += len(raw)
    batch.add(own)


def _events(entry: InboxEntry, body: bytes, own: Batch, routing: RoutingTable) -> Iterator[NewEvent]:
    if entry.kind == EntryKind.RECORDS:
        # Validated, scrubbed and classified at the door, which answers for each record by name.
        yield from msgspec.msgpack.decode(body, type=list[NewEvent])
    elif entry.kind == EntryKind.STORE:
        yield _event(body, _intake(entry, routing))
    else:
        yield from _of_envelope(entry, body, own, _intake(entry, routing))


def _of_envelope(entry: InboxEntry, body: bytes, own: Batch, intake: Intake) -> Iterator[NewEvent]:
    """Event items; a bad one is set aside alone, other types are counted."""
    split = envelope.split(body, item_bytes={**envelope.ITEM_BYTES, "event": settings.EVENT_MAX_BYTES})
    for item_type, n in split.dropped.items():
        own.count(entry, item_type, "too_large", n)
    for item in split.items:
        if item.type not in _EVENTS:
            own.count(entry, item.type, "counted")
            continue
        try:
            yield _event(item.payload, intake)
        except Refused as refused:
            own.set_aside(entry, item.type, item.payload, refused)


def _event(raw: bytes, intake: Intake) -> NewEvent:
    decoded = jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
    return normalise.from_sentry(decoded, intake)


def _intake(entry: InboxEntry, routing: RoutingTable) -> Intake:
    rules, default = routing.of(entry.project_id)
    return Intake(
        project_id=entry.project_id,
        received_at=entry.received_at,
        hash_key=hash_key(),
        event_id=str(entry.context.get("event_id") or ""),
        source=str(entry.context.get("source") or "sentry"),
        rules=rules,
        default_component=default,
    )
