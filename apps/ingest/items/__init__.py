"""What the items of an envelope become: one file per type of item, each with a reader.

A reader decodes one payload and puts what it found into the batch. It raises Refused for a payload that cannot be
used, which is then set aside with that reason while the other items of the envelope are kept. Types that stand here
in no table are counted and go no further.
"""

from collections.abc import Callable

from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.items import (
    attachment,
    check_in,
    client_report,
    counted,
    event,
    feedback,
    session,
    span,
    transaction,
)
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake

Reader = Callable[[Item, InboxEntry, Intake, Batch], None]

READERS: dict[str, Reader] = {
    "event": event.read,
    "attachment": attachment.read,
    "transaction": transaction.read,
    "session": session.read,
    "sessions": session.read_counts,
    "check_in": check_in.read,
    "client_report": client_report.read,
    "feedback": feedback.read,
    "user_report": feedback.read_user_report,
    "user_report_v2": feedback.read,
    "span": span.read,
    # Containers: what they hold is counted, none of it is kept.
    **dict.fromkeys(("log", "otel_log", "trace_metric", "statsd"), counted.read),
}
