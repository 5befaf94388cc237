"""PagerDuty's Events API v2, as senders speak it: triggers, acknowledges, resolves; changes are context."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from apps.alerts.doors import register
from apps.alerts.doors.events import ACKNOWLEDGE, MOST_LABEL, RESOLVE, TRIGGER, Event, moment, web_address
from apps.core.refusal import Refused

MOST_BYTES = 512 * 1024
MOST_SUMMARY, MOST_KEY = 1024, 255
SEVERITIES = ("critical", "error", "warning", "info")
_ACTIONS = (TRIGGER, ACKNOWLEDGE, RESOLVE)


class InvalidEvent(Refused):
    """400 in PagerDuty's own form: everything that is wrong, in sentences."""

    def __init__(self, errors: list[str], field: str = "") -> None:
        super().__init__("invalid_event", "; ".join(errors), field)
        self.errors = errors


def routing_key(document: Any) -> str:
    """The key that the body carries; empty when it is not there."""
    found = document.get("routing_key") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


def read(document: Any) -> Event:
    """The event. Raises InvalidEvent with all that is wrong."""
    if not isinstance(document, dict):
        raise InvalidEvent(["Event object is invalid: it must be a JSON object"])
    action = document.get("event_action")
    errors = [] if action in _ACTIONS else [f"'event_action' must be one of {', '.join(_ACTIONS)}"]
    key = document.get("dedup_key")
    if key is not None and (not isinstance(key, str) or len(key) > MOST_KEY):
        errors.append(f"'dedup_key' must be a text of at most {MOST_KEY} characters")
    if action in (ACKNOWLEDGE, RESOLVE) and not key:
        errors.append("'dedup_key' is missing or blank")
    payload = document.get("payload")
    if action == TRIGGER:
        errors += _payload_errors(payload)
    if errors:
        raise InvalidEvent(errors)
    if action != TRIGGER or not isinstance(payload, dict):
        return Event(verb=str(action), key=str(key))
    # Without a key each trigger is an alert of its own.
    return _triggered(payload, key or uuid4().hex, document)


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = []
    for name in ("summary", "source"):
        value = payload.get(name)
        if not isinstance(value, str) or not value.strip():
            errors.append(f"'payload.{name}' is missing or blank")
    if payload.get("severity") not in SEVERITIES:
        errors.append(f"'payload.severity' must be one of {', '.join(SEVERITIES)}")
    for name in ("component", "group", "class"):
        if not isinstance(payload.get(name, ""), str | None):
            errors.append(f"'payload.{name}' must be a text")
    try:
        moment(payload.get("timestamp"), "payload.timestamp")
    except Refused as refused:
        errors.append(f"'payload.timestamp' {refused.message}")
    return errors


def _triggered(payload: Mapping[str, Any], key: str, document: Mapping[str, Any]) -> Event:
    details = payload.get("custom_details")
    labels = {name: payload.get(name) for name in ("source", "component", "group", "class")}
    labels["client"] = document.get("client")
    kept = {name: word[:MOST_LABEL] for name, word in labels.items() if isinstance(word, str) and word}
    words = [f"From {payload['source'][:MOST_LABEL]}."]
    if isinstance(details, dict):
        plain = [(k, v) for k, v in details.items() if isinstance(v, str | int | float)]
        words += [f"{k[:100]}: {str(v)[:500]}" for k, v in plain[:20]]
    elif isinstance(details, str):
        words.append(details[:MOST_LABEL])
    return Event(
        verb=TRIGGER, key=key, title=payload["summary"][:MOST_SUMMARY], sentence="\n".join(words),
        severity=payload["severity"], component=payload.get("component") or "", labels=kept,
        source_url=web_address(document.get("client_url")),
    )  # fmt: skip


def read_change(document: Any) -> tuple[str, str]:
    """Summary and source of a change. Raises InvalidEvent."""
    payload = document.get("payload") if isinstance(document, dict) else None
    summary = payload.get("summary") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(summary, str) or not summary.strip():
        raise InvalidEvent(["'payload.summary' is missing or blank"])
    source = payload.get("source")
    if not isinstance(source, str | None):
        raise InvalidEvent(["'payload.source' must be a text"])
    return summary[:MOST_SUMMARY], (source or "")[:200]


class EventsV2:
    """Whatever sends to PagerDuty and takes another address."""

    kind = "events_v2"
    label = "PagerDuty Events v2"
    mapped = False

    def setup(self, site: str, key: str) -> str:
        """The address and the key that senders ask for, and one event by hand."""
        return (
            f"URL: {site}/v2/enqueue\nRouting key: {key}\n\n"
            f"curl -X POST {site}/v2/enqueue -H 'Content-Type: application/json' -d "
            f'\'{{"routing_key":"{key}","event_action":"trigger","dedup_key":"test","payload":'
            '{"summary":"A test","source":"my-shell","severity":"warning"}}\'\n'
        )


register(EventsV2())
