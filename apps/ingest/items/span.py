"""Spans that an SDK streams instead of transactions: those that begin a request count like one, the rest by number."""

from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.items import counted
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake
from apps.telemetry import segments


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One container, or one of the single spans that SDKs sent before, which only counts."""
    if "item_count" in item.headers:
        batch.requests.extend(segments.read(item.payload, intake))
    counted.read(item, entry, intake, batch)
