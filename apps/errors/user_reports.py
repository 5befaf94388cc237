"""What people say about a failure, as SDKs send it: the words scrubbed, the person only as a hash."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from apps.core.refusal import Refused
from apps.core.scrub import scrub_text
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake, identity_of, parse_time, place_in_time, user_hash

MAX_REPORT = 4096
MAX_URL = 500


class NewUserReport(msgspec.Struct, kw_only=True):
    """One report. `about` is the id of the event that it is about, "" where it names none."""

    project_id: int
    report_id: str
    about: str
    message: str
    received_at: datetime
    occurred_at: datetime
    user_hash: bytes | None = None
    url: str = ""
    release: str = ""
    environment: str = ""


def from_feedback(payload: Any, intake: Intake) -> NewUserReport:
    """A decoded feedback event: its words stand in the context of that name. Refused without any."""
    if not isinstance(payload, dict):
        raise Refused("not_an_object", "a feedback is a JSON object", "feedback")
    contexts = payload.get("contexts")
    said = contexts.get("feedback") if isinstance(contexts, dict) else None
    if not isinstance(said, dict):
        raise Refused("required", "the context with what was said", "contexts.feedback")
    at, _ = place_in_time(parse_time(payload.get("timestamp")), intake.received_at)
    return NewUserReport(
        project_id=intake.project_id,
        report_id=parse_event_id(payload.get("event_id")) or intake.event_id,
        about=_about(said.get("associated_event_id"), "contexts.feedback.associated_event_id"),
        message=_message(said.get("message"), "contexts.feedback.message"),
        received_at=intake.received_at,
        occurred_at=at,
        user_hash=_person(intake, payload.get("user"), said.get("contact_email"), said.get("name")),
        url=_address(said.get("url") or _page(payload)),
        release=_line(payload.get("release"), 200),
        environment=_line(payload.get("environment"), 64),
    )


def from_user_report(payload: Any, intake: Intake) -> NewUserReport:
    """A decoded user report, about the event that it names or else its envelope's. Refused without words."""
    if not isinstance(payload, dict):
        raise Refused("not_an_object", "a user report is a JSON object", "user_report")
    about = _about(payload.get("event_id"), "event_id") or intake.event_id
    message = _message(payload.get("comments"), "comments")
    return NewUserReport(
        project_id=intake.project_id,
        # It has no id of its own: the same words about the same event are the same report.
        report_id=hashlib.sha256(f"{about}:{message}".encode()).hexdigest()[:32],
        about=about,
        message=message,
        received_at=intake.received_at,
        occurred_at=intake.received_at,
        user_hash=_person(intake, payload.get("user"), payload.get("email"), payload.get("name")),
    )


def _message(text: object, field: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Refused("required", "what was said", field)
    return scrub_text(text.strip(), MAX_REPORT)


def _about(event_id: object, field: str) -> str:
    return parse_event_id(event_id, field) or ""


def _person(intake: Intake, *given: object) -> bytes | None:
    """Hash of the first that names somebody, the same as that of the events of the same user."""
    identity = next(filter(None, map(identity_of, given)), None)
    return user_hash(intake.hash_key, intake.project_id, identity) if identity else None


def _address(url: object) -> str:
    """Of a page's address what stands before its query."""
    return _line(url.partition("?")[0].partition("#")[0], MAX_URL) if isinstance(url, str) else ""


def _page(event: dict[str, Any]) -> object:
    request = event.get("request")
    return request.get("url") if isinstance(request, dict) else None


def _line(text: object, limit: int) -> str:
    return scrub_text(text, max(limit, 200))[:limit] if isinstance(text, str) else ""
