"""A transaction of an SDK: counted, with its duration and how it ended; its spans are not kept."""

from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake
from apps.telemetry import transactions


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One transaction."""
    batch.requests.append(transactions.read(item.payload, intake))
