"""What an SDK itself dropped before it sent anything: counted as it says, so that a gap has a reason."""

from typing import Any

from apps.core import jsontext
from apps.core.refusal import Refused
from apps.ingest.batch import Batch
from apps.ingest.envelope import Item
from apps.ingest.models import InboxEntry
from apps.projects.intake import Intake

REASONS = frozenset((
    "ratelimit_backoff", "queue_overflow", "cache_overflow", "buffer_overflow", "network_error", "send_error",
    "internal_sdk_error", "insufficient_data", "before_send", "event_processor", "sample_rate", "backpressure",
    "invalid", "no_data", "ignored",
))  # fmt: skip
OTHER = "other"
# Their word for what is lost → the type of item that would have come. Other categories keep their name.
_TYPE_OF = {
    "error": "event",
    "default": "event",
    "monitor": "check_in",
    "log_item": "log",
    "metric_bucket": "statsd",
}
# Lost beside an item that is reported by itself; their figures are sizes.
_BYTES = frozenset(("log_byte", "trace_metric_byte"))
MOST_ENTRIES = 500
MOST_LOST = 10**9


def read(item: Item, entry: InboxEntry, intake: Intake, batch: Batch) -> None:
    """One report. An entry that makes no sense is left out: what an SDK lost is no reason to lose the rest."""
    report = jsontext.decode(item.payload)
    if not isinstance(report, dict):
        raise Refused("not_an_object", "a client report is a JSON object", "client_report")
    lost = report.get("discarded_events")
    if not isinstance(lost, list):
        raise Refused("required", "a list of what was discarded", "discarded_events")
    batch.count(entry, item.type, "stored")
    for one in lost[:MOST_ENTRIES]:
        if isinstance(one, dict):
            _count(one, entry, batch)


def _count(lost: dict[str, Any], entry: InboxEntry, batch: Batch) -> None:
    category, reason, quantity = (lost.get(name) for name in ("category", "reason", "quantity"))
    if not isinstance(category, str) or category in _BYTES or type(quantity) is not int or quantity <= 0:
        return
    named = reason if isinstance(reason, str) and reason in REASONS else OTHER
    n = 1 if category == "attachment" else min(quantity, MOST_LOST)  # of attachments they count the bytes
    batch.count(entry, _TYPE_OF.get(category, category), f"sdk:{named}", n)
