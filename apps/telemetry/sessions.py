"""From what SDKs say of sessions to updates (one session each) and counts (sessions that a server counted itself)."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from apps.core.ids import millis
from apps.core.refusal import Refused
from apps.core.scrub import scrub_text
from apps.core.text import storable
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, identity_of, parse_time, place_in_time, user_hash
from apps.telemetry.models import SessionOutcome
from apps.telemetry.reported import SessionCounts, SessionUpdate

MOST_BUCKETS = 100
_MOST = 10**9
_MOST_SEQ = 2**62
_STATUSES = ("ok", "exited", "errored", "abnormal", "crashed", "unhandled")


class LateSession(Refused):
    """It started more than 72 h ago, or in the future: counted as late, since its hours are closed."""


def update_of(session: Any, intake: Intake) -> SessionUpdate:
    """One item of type `session`. Raises Refused naming the field that is wrong, LateSession for one too old."""
    session = _object(session, "session")
    attrs = _attributes(session)
    return SessionUpdate(
        session_id=_session_id(session),
        project_id=intake.project_id,
        started_at=_started(session.get("started"), intake, "started"),
        received_at=intake.received_at,
        seq=_seq(session, intake),
        outcome=_outcome(session),
        release=_line(attrs.get("release"), 200),
        environment=_line(attrs.get("environment"), 64),
        user_hash=_user(session.get("did"), intake),
    )


def counts_of(sessions: Any, intake: Intake) -> tuple[list[SessionCounts], int]:
    """One item of type `sessions`: its buckets, and how many more were late. One that is wrong refuses the item."""
    sessions = _object(sessions, "sessions")
    attrs, buckets = _attributes(sessions), sessions.get("aggregates")
    if not isinstance(buckets, list):
        raise Refused("invalid", "not a list", "aggregates")
    if len(buckets) > MOST_BUCKETS:
        raise Refused("too_many", f"more than {MOST_BUCKETS} buckets", "aggregates")
    found = []
    for i, bucket in enumerate(buckets):
        with suppress(LateSession):
            found.append(_counts(bucket, f"aggregates[{i}]", attrs, intake))
    return found, len(buckets) - len(found)


def _counts(bucket: Any, where: str, attrs: dict[str, Any], intake: Intake) -> SessionCounts:
    bucket = _object(bucket, where)
    return SessionCounts(
        project_id=intake.project_id,
        started_at=_started(bucket.get("started"), intake, f"{where}.started"),
        received_at=intake.received_at,
        release=_line(attrs.get("release"), 200),
        environment=_line(attrs.get("environment"), 64),
        user_hash=_user(bucket.get("did"), intake),
        healthy=_count(bucket, "exited", where),
        errored=_count(bucket, "errored", where) + _count(bucket, "unhandled", where),
        abnormal=_count(bucket, "abnormal", where),
        crashed=_count(bucket, "crashed", where),
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("not_an_object", "not a JSON object", where)
    return value


def _attributes(session: dict[str, Any]) -> dict[str, Any]:
    attrs = session.get("attrs", session.get("attributes"))
    return attrs if isinstance(attrs, dict) else {}


def _session_id(session: dict[str, Any]) -> str:
    found = parse_event_id(session.get("sid"), "sid")
    if found is None:
        raise Refused("required", "a session needs an id", "sid")
    return found


def _started(value: Any, intake: Intake, where: str) -> datetime:
    started = parse_time(value)
    if started is None:
        raise Refused("invalid", "neither ISO 8601 nor seconds since 1970", where)
    if not place_in_time(started, intake.received_at)[1]:
        raise LateSession("late", "more than 72 h ago, or in the future", where)
    return started


def _seq(session: dict[str, Any], intake: Intake) -> int:
    """What orders the updates of a session: its own number, else when it was sent, else when it came."""
    seq = session.get("seq")
    if type(seq) is int and 0 <= seq < _MOST_SEQ:
        return seq
    return millis(parse_time(session.get("timestamp")) or intake.received_at)


def _outcome(session: dict[str, Any]) -> str:
    """Crashed and abnormal as said; errored where errors were survived; healthy else, be it ended or not."""
    status, errors = session.get("status", "ok"), session.get("errors", 0)
    if status not in _STATUSES:
        raise Refused("invalid_choice", f"use one of {', '.join(_STATUSES)}", "status")
    if status == "crashed":
        return SessionOutcome.CRASHED.value
    if status == "abnormal":
        return SessionOutcome.ABNORMAL.value
    had_errors = status in ("errored", "unhandled") or (type(errors) is int and errors > 0)
    return (SessionOutcome.ERRORED if had_errors else SessionOutcome.HEALTHY).value


def _count(bucket: dict[str, Any], name: str, where: str) -> int:
    value = bucket.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST:
        raise Refused("invalid", f"not a whole number of 0 to {_MOST}", f"{where}.{name}")
    return value


def _line(value: Any, limit: int) -> str:
    return storable(scrub_text(value, 200)[:limit]) if isinstance(value, str) else ""


def _user(did: Any, intake: Intake) -> bytes | None:
    identity = identity_of(did)
    return user_hash(intake.hash_key, intake.project_id, identity) if identity else None
