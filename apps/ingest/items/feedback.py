"""What people say about a failure: feedback, which is an event of its own, and the older user report."""

from typing import Any

from apps.core import jsontext
from apps.errors.user_reports import from_feedback, from_user_report
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One feedback."""
    batch.user_reports.append((item.type, from_feedback(_decoded(item), intake)))


def read_user_report(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One user report."""
    batch.user_reports.append((item.type, from_user_report(_decoded(item), intake)))


def _decoded(item: Item) -> Any:
    return jsontext.decode(item.payload, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)
