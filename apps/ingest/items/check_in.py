"""A job's report of one of its runs."""

from apps.core import jsontext
from apps.health.check_ins import from_sentry
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One check-in."""
    batch.check_ins.append(from_sentry(jsontext.decode(item.payload), intake))
