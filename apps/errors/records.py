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

_TEXTS = (
    "message", "stackTrace", "errorType", "route", "endpoint", "component", "release", "environment", "platform",
    "userAgent", "method", "url",
)  # fmt: skip


def from_record(record: Any, intake: Intake) -> NewEvent:
    """One decoded record. Raises EventRefused (or UnknownSeverity) naming the field that is wrong."""
    if not isinstance(record, dict):
        raise EventRefused("not_an_object", "an error record is a JSON object")
    texts, other = _texts(record), _other(record)
    message, stack = _text(texts, "message", MAX_MESSAGE), _stack(texts)
    if not message.strip() and not stack.strip():
        raise EventRefused("required", "give a message or a stackTrace", "message")
    exceptions = (
        parse_trace(stack) if stack else []
    )  # of a text that is scrubbed already, and kept beside them
    sent_type = _text(texts, "errorType", MAX_ERROR_TYPE).strip()
    verdict = _verdict(record, exceptions, sent_type)
    severity = _severity(record, verdict, intake)
    route = _text(texts, "route", MAX_TAG) or _text(texts, "endpoint", MAX_TAG)
    component, named = _component(texts, route, intake)
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
        release=_text(texts, "release", MAX_TAG),
        environment=_text(texts, "environment", MAX_TAG),
        platform=_text(texts, "platform", MAX_TAG) or ("javascript" if intake.source == CLIENT else ""),
        user_hash=user_hash(intake.hash_key, intake.project_id, identity) if identity else None,
        user_impact=_truth(record, "userImpact", default=True),
        source=intake.source,
        device=device_of(_text(texts, "userAgent", 512) or intake.user_agent),
        fingerprint=grouping.fingerprint(
            exceptions, message, sent=record.get("fingerprint"), error_type=title_type
        ),
        title=grouping.title_of(exceptions, message, title_type),
        culprit=grouping.culprit_of(exceptions, route),
        tags=other["tags"],
        payload=_payload(record, texts, other["extra"], exceptions, stack),
    )


def _texts(record: dict[str, Any]) -> dict[str, str]:
    """The text fields that are there, scrubbed together: one search over all of them settles nearly every pattern."""
    given = {name: record[name] for name in _TEXTS if record.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, str):
            raise EventRefused("invalid", "not a text", name)
    clean: dict[str, str] = scrub(given, max_text=4 * MAX_STACK)
    return clean


def _other(record: dict[str, Any]) -> dict[str, Any]:
    """Tags, and what has no field of its own as extra, scrubbed."""
    tags = record.get("tags")
    if tags is not None and not isinstance(tags, dict):
        raise EventRefused("invalid", "not an object", "tags")
    extra = {key: value for key, value in record.items() if key not in _KNOWN}
    clean: dict[str, Any] = scrub({"tags": pairs_of(tags, MAX_TAGS) if tags else {}, "extra": extra})
    return clean


def _text(texts: dict[str, str], name: str, limit: int) -> str:
    """A text field, cut; empty where it is absent or null."""
    return texts.get(name, "")[:limit]


def _truth(record: dict[str, Any], name: str, *, default: bool) -> bool:
    value = record.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise EventRefused("invalid", "neither true nor false", name)
    return value


def _stack(texts: dict[str, str]) -> str:
    """The trace; of one that is too long both ends, since languages differ in which end says where it broke."""
    text = _text(texts, "stackTrace", 4 * MAX_STACK)
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


def _component(texts: dict[str, str], route: str, intake: Intake) -> tuple[str, bool]:
    default = routing.CLIENT_COMPONENT if intake.source == CLIENT else routing.DEFAULT_COMPONENT
    return routing.placed(_text(texts, "component", MAX_TAG), route, intake, default)


def _payload(
    record: dict[str, Any],
    texts: dict[str, str],
    extra: dict[str, Any],
    exceptions: list[dict[str, Any]],
    stack: str,
) -> dict[str, Any]:
    request = {"method": _text(texts, "method", 16), "url": _text(texts, "url", 2048).partition("?")[0]}
    kept: dict[str, Any] = {
        "exceptions": exceptions,
        "stack_trace": stack,
        "code": record.get("code"),
        "request": {key: value for key, value in request.items() if value},
        "resolution": _resolution(record),
        "extra": extra,
    }
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
