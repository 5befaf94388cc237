"""From what an SDK sent to one NewEvent: picked, scrubbed, cut, placed in time, classified, grouped."""

from typing import Any

from apps.core.refusal import Refused
from apps.core.scrub import scrub_own, scrub_text
from apps.errors import classification, grouping
from apps.errors.event_payload import kept_of
from apps.errors.new_event import MAX_MESSAGE, MAX_TAG, EventRefused, NewEvent
from apps.projects import routing
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, device_of, identity_of, parse_time, place_in_time, user_hash

_BROWSER = "javascript"


def from_sentry(event: Any, intake: Intake) -> NewEvent:
    """One decoded Sentry event, which is used up by it.

    Wrong fields are left out; EventRefused only if it is no object or its id no id.
    """
    if not isinstance(event, dict):
        raise EventRefused("not_an_object", "an event is a JSON object", "event")
    picked = kept_of(event)
    picked["exceptions"].reverse()  # what surfaced comes last, and must not be what the scrubber cuts off
    kept = scrub_own(picked)
    exceptions, tags = _whole(kept)
    kept = {key: value for key, value in kept.items() if value}
    message, template = _message(event, exceptions)
    level = classification.level_of(event.get("level", "error"))
    verdict = classification.classify(_types(exceptions), _code(tags, kept))
    route = _line(event, "transaction")
    component, named = routing.placed(tags.get("component"), route, intake, _default(event))
    occurred_at, usable = place_in_time(parse_time(event.get("timestamp")), intake.received_at)
    identity = identity_of(event.get("user"))
    return NewEvent(
        event_id=_event_id(event, intake),
        project_id=intake.project_id,
        occurred_at=occurred_at,
        received_at=intake.received_at,
        time_is_usable=usable,
        error_type=verdict.error_type,
        exception_type=_surfaced_type(exceptions),
        message=message,
        severity=classification.severity_of_level(level),
        level=level,
        component_name=component,
        component_is_named=named,
        route=route,
        release=_line(event, "release"),
        environment=_line(event, "environment"),
        platform=_line(event, "platform"),
        user_hash=user_hash(intake.hash_key, intake.project_id, identity) if identity else None,
        user_impact=classification.has_user_impact(level),
        source=intake.source,
        device=_device(kept),
        fingerprint=grouping.fingerprint(
            exceptions, template, sent=event.get("fingerprint"), error_type=verdict.error_type
        ),
        title=grouping.title_of(exceptions, message),
        culprit=grouping.culprit_of(exceptions, route),
        tags=_tags(event, tags),
        payload={"exceptions": exceptions, **kept} if exceptions else kept,
    )


def _whole(kept: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Exceptions and tags, without the marks that the scrubber leaves where it cut something off."""
    exceptions = [e for e in reversed(kept.pop("exceptions")) if isinstance(e, dict)]
    return exceptions, {key: value for key, value in kept.pop("tags").items() if isinstance(value, str)}


def _event_id(event: dict[str, Any], intake: Intake) -> str:
    try:
        return parse_event_id(event.get("event_id")) or intake.event_id
    except Refused as refused:
        raise EventRefused(refused.code, refused.message, refused.field) from refused


def _line(event: dict[str, Any], name: str) -> str:
    """A short text of the event, scrubbed; empty for what is no text."""
    value = event.get(name)
    return scrub_text(value, MAX_TAG) if isinstance(value, str) else ""


def _message(event: dict[str, Any], exceptions: list[dict[str, Any]]) -> tuple[str, str]:
    """The message, and the same before its parameters went in (by which messages are grouped)."""
    if exceptions and isinstance(exceptions[-1].get("value"), str):
        said = exceptions[-1]["value"][:MAX_MESSAGE]
        return said, said
    entry = event.get("logentry") or event.get("message") or ""
    entry = entry if isinstance(entry, dict) else {"formatted": entry}
    texts = [entry[name] for name in ("formatted", "message") if isinstance(entry.get(name), str)]
    scrubbed = [scrub_text(text, MAX_MESSAGE) for text in texts]
    return (scrubbed[0], scrubbed[-1]) if scrubbed else ("", "")


def _types(exceptions: list[dict[str, Any]]) -> list[str]:
    """Types from the surfaced exception to its root cause, with their modules where the sender gave them."""
    named = [e for e in reversed(exceptions) if isinstance(e.get("type"), str)]
    return [f"{e['module']}.{e['type']}" if isinstance(e.get("module"), str) else e["type"] for e in named]


def _surfaced_type(exceptions: list[dict[str, Any]]) -> str:
    kind = exceptions[-1].get("type") if exceptions else None
    return kind[:MAX_TAG] if isinstance(kind, str) else ""


def _code(tags: dict[str, str], kept: dict[str, Any]) -> object:
    """An error code: tag, extra, or the context that SDKs make of an exception's own fields."""
    extra = kept.get("extra")
    contexts = kept.get("contexts")
    places = [tags, extra, *(contexts.values() if isinstance(contexts, dict) else ())]
    return next((place["code"] for place in places if isinstance(place, dict) and "code" in place), None)


def _default(event: dict[str, Any]) -> str:
    is_browser = event.get("platform") == _BROWSER and "request" in event
    return routing.CLIENT_COMPONENT if is_browser else routing.DEFAULT_COMPONENT


def _device(kept: dict[str, Any]) -> str:
    request = kept.get("request")
    headers = request.get("headers", {}) if isinstance(request, dict) else {}
    return device_of(next((value for name, value in headers.items() if name.lower() == "user-agent"), None))


def _tags(event: dict[str, Any], tags: dict[str, str]) -> dict[str, str]:
    server = _line(event, "server_name")
    return {**tags, "server_name": server} if server and "server_name" not in tags else tags
