"""What was reported, before it becomes rows: one shape each for tracked events, requests and sessions.

Scrubbed and cut by whoever makes them. Times are aware; `time_is_usable` is false where the sender gave none that can
be used, and then `occurred_at` is the time of receipt.
"""

from datetime import datetime
from typing import Any

import msgspec

MAX_NAME = 80
MAX_ENDPOINT = 200
MAX_REASON = 200


class Tracked(msgspec.Struct, kw_only=True):
    """One tracked event; what `subject` … `outcome` mean stands with `TrackedHour`."""

    event_id: str
    project_id: int
    name: str
    occurred_at: datetime
    received_at: datetime
    time_is_usable: bool
    component_name: str
    severity: str = ""
    user_hash: bytes | None = None
    duration_ms: float | None = None
    subject: str = ""
    provider: str = ""
    reason: str = ""
    outcome: str = ""
    device: str = "unknown"
    status_code: int | None = None
    data: dict[str, Any] = {}  # msgspec copies it for every event


class Request(msgspec.Struct, kw_only=True):
    """One transaction of an SDK. `failed` is None where nobody said how it ended."""

    event_id: str
    project_id: int
    occurred_at: datetime
    received_at: datetime
    time_is_usable: bool
    component_name: str
    kind: str
    endpoint: str
    device: str = "unknown"
    failed: bool | None = None
    duration_ms: float | None = None
    user_hash: bytes | None = None


class SessionUpdate(msgspec.Struct, kw_only=True):
    """The latest that one session says of itself; a higher `seq` supersedes a lower one."""

    session_id: str
    project_id: int
    started_at: datetime
    received_at: datetime
    seq: int
    outcome: str
    release: str = ""
    environment: str = ""
    user_hash: bytes | None = None


class SessionCounts(msgspec.Struct, kw_only=True):
    """Sessions that a server counted itself, by when they started. They have no id: storing them twice counts twice."""

    project_id: int
    started_at: datetime
    received_at: datetime
    release: str = ""
    environment: str = ""
    user_hash: bytes | None = None
    healthy: int = 0
    errored: int = 0
    abnormal: int = 0
    crashed: int = 0


class ActiveUser(msgspec.Struct, frozen=True):
    """Somebody who was there, heard of through another room's facts."""

    project_id: int
    at: datetime
    user_hash: bytes
