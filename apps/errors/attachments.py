"""Files that come beside an event: small text is kept for its page, scrubbed; everything else is only counted."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from apps.core import jsontext
from apps.core.scrub import scrub, scrub_text
from apps.core.text import storable
from apps.projects.intake import Intake

MAX_BYTES = 32 * 1024
MAX_NAME = 200
# Why a file is not kept, in the words of the counters.
LARGE, BINARY = "dropped_large", "dropped_binary"
_TEXT_ENDINGS = (".log", ".txt", ".json")


class NewAttachment(msgspec.Struct, kw_only=True):
    """One file of an event: `digest` is SHA-256 of what was sent (32 bytes), `size` its bytes, `text` what is kept."""

    project_id: int
    event_id: str
    name: str
    received_at: datetime
    size: int
    digest: bytes
    text: str


def from_item(headers: Mapping[str, Any], payload: bytes, intake: Intake) -> NewAttachment | str:
    """The file to keep with its envelope's event, or why it is not kept: LARGE, or BINARY (no UTF-8, or not named as
    text).
    """
    if len(payload) > MAX_BYTES:
        return LARGE
    name, kind = _word(headers.get("filename")), _word(headers.get("content_type")).lower()
    text = _decoded(payload) if _is_text(name, kind, headers.get("attachment_type")) else None
    if text is None:
        return BINARY
    return NewAttachment(
        project_id=intake.project_id,
        event_id=intake.event_id,
        name=scrub_text(storable(name), MAX_NAME) or "attachment",
        received_at=intake.received_at,
        size=len(payload),
        digest=hashlib.sha256(payload).digest(),
        text=_clean(text),
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_text(name: str, kind: str, role: object) -> bool:
    """By its type or its ending; a plain attachment, not a dump or the tree of a screen."""
    is_plain = role in (None, "event.attachment")
    return is_plain and (kind.startswith("text/") or name.lower().endswith(_TEXT_ENDINGS))


def _decoded(payload: bytes) -> str | None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _clean(text: str) -> str:
    """Scrubbed; what is JSON by its keys too, written anew."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            decoded = jsontext.decode(text, max_keys=None)
            text = msgspec.json.format(msgspec.json.encode(scrub(decoded)), indent=2).decode()
        except jsontext.JsonRefused:  # it only begins like JSON
            pass
    return scrub_text(text, MAX_BYTES)
