"""A file beside an event."""

from apps.errors.attachments import from_item
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One file: kept if it is small text, else counted with the reason."""
    file = from_item(item.headers, item.payload, intake)
    if isinstance(file, str):
        batch.count(entry, item.type, file)
    else:
        batch.attachments.append(file)
