"""Items that are counted and go no further: of containers each entry counts."""

from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake

# An entry of a container is at least `{}` and a comma: more than that nobody can have sent.
_SMALLEST_ENTRY_BYTES = 3


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """Whatever it holds; the payload is not decoded."""
    batch.count(entry, item.type, "counted", _entries(item))


def _entries(item: Item) -> int:
    """How many entries the header promises, no more than the payload can hold; lines of statsd; else one."""
    if item.type == "statsd":
        return max(1, sum(1 for line in item.payload.split(b"\n") if line.strip()))
    said = item.headers.get("item_count")
    if type(said) is not int or said < 1:
        return 1
    return min(said, max(1, len(item.payload) // _SMALLEST_ENTRY_BYTES))
