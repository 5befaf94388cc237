"""What is known beside a report itself; how senders' times, people and devices are read, the same in every room."""

import hashlib
import hmac
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

MAX_AGE = timedelta(hours=72)
MAX_SKEW = timedelta(minutes=5)

_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_LATEST_SECOND = 253_402_300_799  # the end of year 9999


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the event itself. `source` is sentry, server or client.

    `rules` are (pattern, component) in order; `event_id` is the envelope's or the door's, for events without one.
    """

    project_id: int
    received_at: datetime
    hash_key: bytes
    event_id: str
    source: str = "sentry"
    rules: Sequence[tuple[str, str]] = ()
    default_component: str = ""
    user_agent: str = ""


def user_hash(key: bytes, project_id: int, identity: str) -> bytes:
    """HMAC-SHA256 over project and identity: counts people apart without knowing them. 32 bytes."""
    return hmac.digest(key, f"{project_id}:{identity}".encode("utf-8", "replace"), hashlib.sha256)


def identity_of(user: object) -> str | None:
    """The first of id, username, email and ip of a user object, or the user's text itself."""
    if isinstance(user, dict):
        named = (user.get(name) for name in ("id", "username", "email", "ip_address", "ip"))
        user = next((value for value in named if value not in (None, "", "{{auto}}")), None)
    if isinstance(user, str | int) and not isinstance(user, bool):
        return str(user)[:512] or None
    return None


def parse_time(value: object) -> datetime | None:
    """Seconds since 1970 as number or text, or ISO 8601 with or without a zone (then UTC); None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _from_seconds(float(text))
        return _from_iso(text) if 8 <= len(text) <= 40 else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_seconds(value)
    return None


def _from_seconds(seconds: float) -> datetime | None:
    if not math.isfinite(seconds) or not 0 <= seconds <= _LATEST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _from_iso(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):  # the second: a zone that leads out of the calendar
        return None


def place_in_time(sent: datetime | None, received_at: datetime) -> tuple[datetime, bool]:
    """When it happened, and whether the sender's own time could be used for it."""
    if sent is None or not received_at - MAX_AGE <= sent <= received_at + MAX_SKEW:
        return received_at, False
    return sent, True


def device_of(user_agent: object) -> str:
    """mobile, desktop or unknown. Tablets count as mobile: the hint is about the network they are on."""
    if not isinstance(user_agent, str):
        return "unknown"
    agent = user_agent[:512]
    if any(word in agent for word in ("Mobi", "Android", "iPhone", "iPad", "iPod")):
        return "mobile"
    if any(word in agent for word in ("Windows NT", "Macintosh", "X11;", "CrOS")):
        return "desktop"
    return "unknown"
