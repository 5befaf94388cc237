"""What some inbox entries came to: facts for the rooms, what is set aside, and counts."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.core.scrub import REMOVED, is_secret_key, scrub_text
from apps.core.text import storable
from apps.errors.attachments import NewAttachment
from apps.errors.new_event import NewEvent
from apps.errors.user_reports import NewUserReport
from apps.health.check_ins import NewCheckIn
from apps.ingest import envelope
from apps.ingest.models import InboxEntry, SetAside
from apps.telemetry.reported import Request, SessionCounts, SessionUpdate, Tracked

PREVIEW_CHARS = 200
_READ_FOR_PREVIEW = 1024  # beyond what is shown, so that no half of a secret stays at the cut
# Item types that SDKs send. Others are counted together: their names are a stranger's to choose.
_KNOWN_TYPES = frozenset((
    *envelope.ITEM_BYTES, "user_report_v2", "statsd", "metric_meta", "trace_metric", "log", "otel_log", "span",
    "profile", "profile_chunk", "replay", "replay_event", "replay_recording", "replay_video", "security",
    "raw_security", "nel", "form_data", "unreal_report", "store", "envelope", "records",
    "tracked",
))  # fmt: skip
UNKNOWN_TYPE = "unknown"


def known_type(item_type: str) -> str:
    """The name that an item is counted under."""
    return item_type if item_type in _KNOWN_TYPES else UNKNOWN_TYPE


@dataclass
class Batch:
    """What some entries came to, before any of it is written. `unpacked` is in bytes."""

    events: list[NewEvent] = field(default_factory=list)
    check_ins: list[NewCheckIn] = field(default_factory=list)
    user_reports: list[tuple[str, NewUserReport]] = field(default_factory=list)  # behind the item's type
    attachments: list[NewAttachment] = field(default_factory=list)
    tracked: list[Tracked] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    session_updates: list[SessionUpdate] = field(default_factory=list)
    session_counts: list[SessionCounts] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)
    counts: Counter[tuple[Any, int, str, str]] = field(default_factory=Counter)
    failed: list[tuple[InboxEntry, Exception]] = field(default_factory=list)
    unpacked: int = 0

    def count(self, entry: InboxEntry, item_type: str, outcome: str, n: int = 1) -> None:
        """Nothing disappears uncounted."""
        self.counts[entry.received_at.date(), entry.project_id, known_type(item_type), outcome] += n

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
        self.check_ins += other.check_ins
        self.user_reports += other.user_reports
        self.attachments += other.attachments
        self.tracked += other.tracked
        self.requests += other.requests
        self.session_updates += other.session_updates
        self.session_counts += other.session_counts
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
