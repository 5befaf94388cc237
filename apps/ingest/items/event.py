"""An error event of an SDK."""

from typing import Any

from apps.core import jsontext
from apps.core.packed import pack
from apps.errors import normalise
from apps.errors.new_event import NewEvent
from apps.errors.user_reports import from_feedback
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One event of an envelope; early SDKs sent feedback as an event of that type."""
    event = _decoded(item.payload)
    if isinstance(event, dict) and event.get("type") == "feedback":
        batch.user_reports.append(("feedback", from_feedback(event, intake)))
    else:
        batch.events.append(_read(event, intake))


def read_body(raw: bytes, intake: Intake) -> NewEvent:
    """One event as the whole body of the store endpoint."""
    return _read(_decoded(raw), intake)


def _read(event: Any, intake: Intake) -> NewEvent:
    new = normalise.from_sentry(event, intake)
    new.payload = pack(new.payload)
    return new


def _decoded(raw: bytes) -> Any:
    return jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
