"""Envelopes of any items, put through the inbox and the drain as a request's would be."""

import orjson
from django.utils import timezone

from apps.ingest import drain
from apps.ingest.models import EntryKind, InboxEntry, ItemCount
from apps.projects.models import Project


def make_items(*items: tuple[dict, object], **header) -> bytes:
    """An envelope: each item's header line (its length is added) and payload, as bytes or to be written as JSON."""
    lines = [orjson.dumps(header)]
    for headers, payload in items:
        raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        lines += [orjson.dumps({**headers, "length": len(raw)}), raw]
    return b"\n".join(lines)


def arrive(project: Project, *items: tuple[dict, object], event_id: str = "", received_at=None) -> None:
    """One accepted envelope, drained."""
    body = make_items(*items, **({"event_id": event_id} if event_id else {}))
    InboxEntry.objects.create(
        received_at=received_at or timezone.now(), project_id=project.pk, kind=EntryKind.ENVELOPE, body=body,
        context={"event_id": event_id or "f" * 32},
    )  # fmt: skip
    drain.drain(now=timezone.now(), slot=1)


def counts() -> dict[tuple[str, str], int]:
    """Items by (type, what became of them)."""
    return {(c.item_type, c.outcome): c.n for c in ItemCount.objects.all()}
