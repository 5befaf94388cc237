"""From a plain error record, as browsers and servers without an SDK post it, to one NewEvent.

Unlike an SDK's event a record is answered at once, so a field of the wrong kind is refused by name. What has no field
of its own is kept as extra.
"""

from typing import Any

from apps.core.refusal import Refused
from apps.core.scrub import scrub, scrub_text
from apps.core.severity import RecordSeverity, parse_severity, record_severity, scale_severity
from apps.errors import classification, grouping
from apps.errors.event_payload import pairs_of
from apps.errors.new_event import MAX_MESSAGE, MAX_STACK, MAX_TAG, MAX_TAGS, EventRefused, NewEvent
from apps.errors.traces import parse_trace
from apps.projects import routing
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, device_of, identity_of, parse_time, place_in_time, user_hash

CLIENT = "client"
MAX_COMPONENT = 80
MAX_ERROR_TYPE = 80
RESOLUTIONS = ("Open", "In Progress", "Resolved")
_KNOWN = frozenset((
    "timestamp", "component", "errorType", "severity", "message", "stackTrace", "userImpact", "resolution",
    "code", "route", "endpoint", "method", "release", "environment", "platform", "eventId", "event_id",
    "userId", "user", "tags", "userAgent", "fingerprint", "url",
))  # fmt: skip


def from_record(record: Any, intake: Intake) -> NewEvent:
    """One decoded record. Raises EventRefused (or UnknownSeverity) naming the field that is wrong."""
    if not isinstance(record, dict):
        raise EventRefused("not_an_object", "an error record is a JSON object")
    message, stack = _text(record, "message", MAX_MESSAGE), _stack(record)
    if not message.strip() and not stack.strip():
        raise EventRefused("required", "give a message or a stackTrace", "message")
    exceptions = scrub(parse_trace(stack)) if stack else []
    sent_type = _text(record, "errorType", MAX_TAG)[:MAX_ERROR_TYPE].strip()
    verdict = _verdict(record, exceptions, sent_type)
    severity = _severity(record, verdict, intake)
    route = _text(record, "route", MAX_TAG) or _text(record, "endpoint", MAX_TAG)
    component, named = _component(record, route, intake)
    occurred_at, usable = place_in_time(_time(record), intake.received_at)
    identity = identity_of(record.get("user") or record.get("userId"))
    kind = (exceptions[-1]["type"] if exceptions else "") or _program_type(sent_type)
    title_type = kind or verdict.error_type
    return NewEvent(
        event_id=_event_id(record, intake),
        project_id=intake.project_id,
        occurred_at=occurred_at,
        received_at=intake.received_at,
        time_is_usable=usable,
        error_type=verdict.error_type,
        exception_type=kind[:MAX_TAG],
        message=message or grouping.title_of(exceptions, ""),
        severity=severity,
        level=classification.level_of(scale_severity(severity).value),
        component_name=component,
        component_is_named=named,
        route=route,
        release=_text(record, "release", MAX_TAG),
        environment=_text(record, "environment", MAX_TAG),
        platform=_text(record, "platform", MAX_TAG) or ("javascript" if intake.source == CLIENT else ""),
        user_hash=user_hash(intake.hash_key, intake.project_id, identity) if identity else None,
        user_impact=_truth(record, "userImpact", default=True),
        source=intake.source,
        device=device_of(_text(record, "userAgent", 512) or intake.user_agent),
        fingerprint=grouping.fingerprint(
            exceptions, message, sent=record.get("fingerprint"), error_type=title_type
        ),
        title=grouping.title_of(exceptions, message, title_type),
        culprit=grouping.culprit_of(exceptions, route),
        tags=_tags(record),
        payload=_payload(record, exceptions, stack),
    )


def _text(record: dict[str, Any], name: str, limit: int) -> str:
    """A text field, scrubbed and cut; empty where it is absent or null."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EventRefused("invalid", "not a text", name)
    return scrub_text(value, limit)


def _truth(record: dict[str, Any], name: str, *, default: bool) -> bool:
    value = record.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise EventRefused("invalid", "neither true nor false", name)
    return value


def _stack(record: dict[str, Any]) -> str:
    """The trace; of one that is too long both ends, since languages differ in which end says where it broke."""
    text = _text(record, "stackTrace", 4 * MAX_STACK)
    if len(text) <= MAX_STACK:
        return text
    half = MAX_STACK // 2 - 4
    return f"{text[:half]}\n[cut]\n{text[-half:]}"


def _time(record: dict[str, Any]) -> Any:
    value = record.get("timestamp")
    if value is None:
        return None
    at = parse_time(value)
    if at is None:
        raise EventRefused("invalid", "neither ISO 8601 nor seconds since 1970", "timestamp")
    return at


def _event_id(record: dict[str, Any], intake: Intake) -> str:
    name = "eventId" if "eventId" in record else "event_id"
    try:
        return parse_event_id(record.get(name), name) or intake.event_id
    except Refused as refused:
        raise EventRefused(refused.code, refused.message, refused.field) from refused


def _verdict(
    record: dict[str, Any], exceptions: list[dict[str, Any]], sent_type: str
) -> classification.Verdict:
    """The sender's own error type stays as it is; its severity follows from the code, the types, or that word."""
    code = record.get("code")
    if code is not None and (isinstance(code, bool) or not isinstance(code, str | int)):
        raise EventRefused("invalid", "neither a text nor a whole number", "code")
    types = [exception["type"] for exception in reversed(exceptions)]
    known = classification.verdict_of(sent_type)
    found = known or classification.classify([sent_type, *types], code)
    return classification.Verdict(sent_type or found.error_type, found.severity)


def _severity(record: dict[str, Any], verdict: classification.Verdict, intake: Intake) -> RecordSeverity:
    if record.get("severity") is not None:
        return record_severity(parse_severity(record["severity"]))
    return RecordSeverity.MINOR if intake.source == CLIENT else verdict.severity


def _program_type(sent_type: str) -> str:
    """The sender's error type where it is a program's word and not one of the brief's."""
    return "" if sent_type in classification.ERROR_TYPES else sent_type


def _component(record: dict[str, Any], route: str, intake: Intake) -> tuple[str, bool]:
    default = routing.CLIENT_COMPONENT if intake.source == CLIENT else routing.DEFAULT_COMPONENT
    return routing.placed(_text(record, "component", MAX_TAG), route, intake, default)


def _tags(record: dict[str, Any]) -> dict[str, str]:
    tags = record.get("tags")
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise EventRefused("invalid", "not an object", "tags")
    clean: dict[str, str] = scrub(pairs_of(tags, MAX_TAGS))
    return clean


def _payload(record: dict[str, Any], exceptions: list[dict[str, Any]], stack: str) -> dict[str, Any]:
    kept = {
        "exceptions": exceptions,
        "stack_trace": stack,
        "code": record.get("code"),
        "request": {
            "method": _text(record, "method", 16),
            "url": _text(record, "url", 2048).partition("?")[0],
        },
        "resolution": _resolution(record),
        "extra": scrub({key: value for key, value in record.items() if key not in _KNOWN}),
    }
    kept["request"] = {key: value for key, value in kept["request"].items() if value}
    if isinstance(kept["code"], str):
        kept["code"] = scrub_text(kept["code"], MAX_TAG)
    return {key: value for key, value in kept.items() if value not in (None, "", [], {})}


def _resolution(record: dict[str, Any]) -> dict[str, Any]:
    """What the sender says about a resolution is kept with the event; the group's own state is people's to change."""
    resolution = record.get("resolution")
    if resolution is None:
        return {}
    if not isinstance(resolution, dict):
        raise EventRefused("invalid", "not an object", "resolution")
    status = resolution.get("status", "Open")
    if status not in RESOLUTIONS:
        raise EventRefused("invalid_choice", f"use one of {', '.join(RESOLUTIONS)}", "resolution.status")
    minutes = resolution.get("timeToResolve")
    if minutes is not None and (
        isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0
    ):
        raise EventRefused("invalid", "not a number of minutes", "resolution.timeToResolve")
    notes = resolution.get("notes")
    if notes is not None and not isinstance(notes, str):
        raise EventRefused("invalid", "not a text", "resolution.notes")
    kept = {"status": status, "timeToResolve": minutes, "notes": notes and scrub_text(notes)}
    return {key: value for key, value in kept.items() if value is not None}
