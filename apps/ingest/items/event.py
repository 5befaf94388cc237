"""An error event of an SDK."""

from apps.core import jsontext
from apps.errors import normalise
from apps.errors.new_event import NewEvent
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One event of an envelope."""
    batch.events.append(read_body(item.payload, intake))


def read_body(raw: bytes, intake: Intake) -> NewEvent:
    """One event as JSON, as an item or as the whole body of the store endpoint."""
    return normalise.from_sentry(
        jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None), intake
    )
