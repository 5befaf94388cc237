"""Sessions of releases: updates of single ones, and those that a server counted itself."""

from apps.core import jsontext
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake
from apps.telemetry import sessions

LATE = "late"


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One update."""
    try:
        batch.session_updates.append(sessions.update_of(jsontext.decode(item.payload), intake))
    except sessions.LateSession:
        batch.count(entry, item.type, LATE)
        return
    batch.count(entry, item.type, "stored")


def read_counts(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """Counts by when the sessions started; buckets that come too late are left out."""
    counts, late = sessions.counts_of(jsontext.decode(item.payload), intake)
    batch.session_counts += counts
    batch.count(entry, item.type, "stored", len(counts))
    batch.count(entry, item.type, LATE, late)
