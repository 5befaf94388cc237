"""From {"event": …, "data": {…}} to one Tracked: checked by name, scrubbed, cut, its people and addresses hashed."""

import math
from typing import Any

from apps.core.refusal import Refused
from apps.core.scrub import scrub, scrub_text
from apps.core.severity import parse_severity, record_severity, severity_of
from apps.core.text import storable
from apps.projects import routing
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, device_of, identity_of, parse_time, place_in_time, user_hash
from apps.telemetry import endpoints
from apps.telemetry.known_events import ANY, API_RESPONSE_TIME, EVENTS, NUMBER, TEXT, TRUTH, WHOLE, Known
from apps.telemetry.known_events import severity_of as severity_of_name
from apps.telemetry.reported import MAX_NAME, MAX_REASON, Tracked

_MOST_VALUES = 500
_MOST_TEXT = 4096
_MOST_LINE = 500
_ADDRESS_CHARS = 16
# Who it was, in the words that senders use: hashed and then left out, together with where they were.
_IDENTITY = ("user_id", "userId", "user")
_PERSONAL = frozenset((*_IDENTITY, "username", "ip", "ip_address", "email"))
_SAID = {
    TEXT: "not a text", NUMBER: "not a number of 0 or more", WHOLE: "not a whole number of 0 or more",
    TRUTH: "neither true nor false",
}  # fmt: skip
_DURATIONS = (("duration_ms", 1), ("response_time_ms", 1), ("duration_seconds", 1000))
_LONGEST_MS = 10.0**9


def from_body(body: Any, intake: Intake) -> Tracked:
    """One decoded body. Raises Refused naming the field that is wrong."""
    if not isinstance(body, dict):
        raise Refused("not_an_object", 'send an object such as {"event": "feature_used", "data": {…}}')
    name, data = _name(body), _data(body)
    known = EVENTS.get(name)
    if known:
        _check(data, known)
    occurred_at, usable = place_in_time(_time(body), intake.received_at)
    identity = _identity(data)
    address = data.get("endpoint") if isinstance(data.get("endpoint"), str) else ""
    status = data.get("status")
    return Tracked(
        event_id=parse_event_id(body.get("event_id")) or intake.event_id,
        project_id=intake.project_id,
        name=name,
        occurred_at=occurred_at,
        received_at=intake.received_at,
        time_is_usable=usable,
        component_name=_component(data, known or Known(), address, intake),
        severity=_severity(name, data, strict=known is not None),
        user_hash=user_hash(intake.hash_key, intake.project_id, identity) if identity else None,
        duration_ms=_duration(data),
        device=device_of(data.get("userAgent") or intake.user_agent),
        status_code=status if name == API_RESPONSE_TIME and isinstance(status, int) else None,
        data=_kept(data, known or Known(), intake),
        **_dimensions(data, known or Known(), intake),
    )


# --- What must be right -------------------------------------------------------------------------------------------
def _name(body: dict[str, Any]) -> str:
    name = body.get("event")
    if name is None:
        raise Refused("required", "name the event, such as feature_used", "event")
    if not isinstance(name, str):
        raise Refused("invalid", "not a text", "event")
    clean = " ".join(scrub_text(storable(name), _MOST_LINE).split())
    if not clean or len(clean) > MAX_NAME:
        raise Refused("invalid", f"a name of 1 to {MAX_NAME} characters", "event")
    return clean


def _data(body: dict[str, Any]) -> dict[str, Any]:
    data = body.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refused("invalid", "not an object", "data")
    return data


def _time(body: dict[str, Any]) -> Any:
    sent = body.get("timestamp")
    if sent is None:
        return None
    at = parse_time(sent)
    if at is None:
        raise Refused("invalid", "neither ISO 8601 nor seconds since 1970", "timestamp")
    return at


def _check(data: dict[str, Any], known: Known) -> None:
    """Required fields are there, and those that are there are of their kind. Null is as if it were not there."""
    for name in known.required:
        if data.get(name) in (None, "") and not (known.fields[name] == ANY and name in data):
            raise Refused("required", "this field is required", f"data.{name}")
    for name, kind in known.fields.items():
        value = data.get(name)
        if value is not None and not _fits(value, kind):
            raise Refused("invalid", _SAID[kind], f"data.{name}")


def _fits(value: Any, kind: str) -> bool:
    if kind == ANY:
        return True
    if kind == TRUTH:
        return isinstance(value, bool)
    if kind == TEXT:
        return isinstance(value, str)
    allowed = int if kind == WHOLE else int | float
    return isinstance(value, allowed) and not isinstance(value, bool) and value >= 0


# --- What it is told apart by -------------------------------------------------------------------------------------
def _dimensions(data: dict[str, Any], known: Known, intake: Intake) -> dict[str, str]:
    found = {"subject": _subject(data, known, intake)}
    for dimension, name, limit in (("provider", known.provider, 80), ("reason", known.reason, MAX_REASON)):
        found[dimension] = _line(data.get(name), limit) if name else ""
    if known.outcome:
        name, yes, no = known.outcome
        found["outcome"] = yes if data.get(name) else no
    return found


def _subject(data: dict[str, Any], known: Known, intake: Intake) -> str:
    """The feature, trial type or endpoint; of cache keys the part that many share, of addresses the hash."""
    value = data.get(known.subject)
    if not isinstance(value, str) or not value.strip():
        return ""
    if known.subject in known.hashed:
        return address_hash(intake, value)
    if known.subject == "endpoint":
        return endpoints.named(value, is_address=True)
    if known.subject == "key":
        return _line(endpoints.normalised(value.replace(":", "/")).strip("/").split("/")[0], 200)
    return _line(value, 200)


def address_hash(intake: Intake, value: str) -> str:
    """Tells addresses apart without keeping them: 16 hex digits."""
    return user_hash(intake.hash_key, intake.project_id, value.strip().lower()).hex()[:_ADDRESS_CHARS]


def _line(value: Any, limit: int) -> str:
    return " ".join(scrub_text(value, _MOST_LINE).split())[:limit] if isinstance(value, str) else ""


def _component(data: dict[str, Any], known: Known, address: Any, intake: Intake) -> str:
    named = known.component or storable(_line(data.get("component"), routing.MAX_COMPONENT))
    default = known.default_component or routing.DEFAULT_COMPONENT
    return routing.placed(named, endpoints.normalised(address) if address else "", intake, default)[0]


def _severity(name: str, data: dict[str, Any], *, strict: bool) -> str:
    """The sender's word where it is one; a known event with a word that is none is refused."""
    sent = data.get("severity")
    if sent is None:
        return severity_of_name(name)
    if strict:
        return str(record_severity(parse_severity(sent, "data.severity")))
    heard = severity_of(sent)
    return str(record_severity(heard)) if heard else severity_of_name(name)


def _identity(data: dict[str, Any]) -> str | None:
    return next((found for name in _IDENTITY if (found := identity_of(data.get(name)))), None)


def _duration(data: dict[str, Any]) -> float | None:
    for name, factor in _DURATIONS:
        value: Any = data.get(name)
        if _fits(value, NUMBER) and math.isfinite(value * factor):
            return min(float(value * factor), _LONGEST_MS)
    return None


def _kept(data: dict[str, Any], known: Known, intake: Intake) -> dict[str, Any]:
    """The fields without who it was; addresses only as their hash."""
    plain = {name: value for name, value in data.items() if name not in _PERSONAL}
    clean: dict[str, Any] = scrub(plain, max_depth=8, max_values=_MOST_VALUES, max_text=_MOST_TEXT)
    for name in known.hashed:
        if isinstance(data.get(name), str) and data[name].strip():
            clean[f"{name}_hash"] = address_hash(intake, data[name])
    return clean
