"""An error event before it becomes a row: one shape for what Sentry SDKs send and for plain records."""

from datetime import datetime
from typing import Any

import msgspec

from apps.core.refusal import Refused
from apps.core.severity import RecordSeverity

MAX_MESSAGE = 8 * 1024
MAX_STACK = 64 * 1024
MAX_LINE = 200
MAX_TAGS = 100
MAX_TAG = 200


class EventRefused(Refused):
    """What cannot become an event: answered with 400 by a JSON route, set aside with its reason by the drain."""


class NewEvent(msgspec.Struct, kw_only=True):
    """One event, scrubbed and cut. `payload` is JSON for the event page; everything else is for columns and rollups.

    `occurred_at` equals `received_at` where `time_is_usable` is false: no time was sent, or one that is older than
    72 h or more than 5 min ahead. `error_type` is one of the brief's words, `exception_type` the program's own.
    `component_name` is never empty; `component_is_named` says that the sender named it. `payload` may be packed already
    (apps.core.packed): hundreds of events wait for one another as bytes, not as trees.
    """

    event_id: str
    project_id: int
    occurred_at: datetime
    received_at: datetime
    time_is_usable: bool
    error_type: str
    exception_type: str
    message: str
    severity: RecordSeverity
    level: str
    component_name: str
    component_is_named: bool = False
    route: str = ""
    release: str = ""
    environment: str = ""
    platform: str = ""
    user_hash: bytes | None = None
    user_impact: bool = True
    source: str = "sentry"
    device: str = "unknown"
    fingerprint: str = ""
    title: str = ""
    culprit: str = ""
    tags: dict[str, str] = {}  # msgspec copies it for every event
    payload: dict[str, Any] | bytes = {}
