"""A body taken once: under an idempotency key the effect and its answer are one transaction, and a retry reads it."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.alerts.doors.events import Event
from apps.alerts.doors.taking import take
from apps.alerts.models import InboundAnswer, Integration
from apps.core.refusal import Refused

KEPT = timedelta(hours=24)
LONGEST_KEY = 255


class OtherBody(Refused):
    """422: the key was used for another body."""

    status = 422


def idempotency_key(header: str | None, document: Any) -> str:
    """Of the header Idempotency-Key, else of the body's event_id; empty for none. Raises Refused."""
    named = "Idempotency-Key" if header is not None else "event_id"
    given = header if header is not None else document.get("event_id") if isinstance(document, dict) else None
    if given is None:
        return ""
    fits = isinstance(given, str) and 0 < len(given) <= LONGEST_KEY and given.isprintable()
    if not fits:
        raise Refused("invalid", f"must be a text of 1 to {LONGEST_KEY} printable characters", named)
    return str(given)


@transaction.atomic
def take_once(
    *, integration: Integration, key: str, raw: bytes, events: Iterable[Event], now: datetime
) -> tuple[dict[str, Any], bool]:
    """The answer, and whether it is that of an earlier request. Raises OtherBody.

    The row of the key is held first: of two at once the second waits and reads what the first one did.
    """
    digest = hashlib.sha256(raw).digest()
    InboundAnswer.objects.filter(integration=integration, key=key, created_at__lte=now - KEPT).delete()
    rows = InboundAnswer.objects.select_for_update(of=("self",), no_key=True)
    held, new = rows.get_or_create(
        integration=integration, key=key, defaults={"body_digest": digest, "created_at": now}
    )
    if not new:
        if bytes(held.body_digest) != digest:
            raise OtherBody("other_body", "was used for another body within 24 hours", "Idempotency-Key")
        return dict(held.answer), True
    answer = {"ok": True, **vars(take(integration=integration, events=events, now=now))}
    InboundAnswer.objects.filter(pk=held.pk).update(answer=answer)
    return answer, False


@transaction.atomic
def forget_answers(*, now: datetime) -> int:
    """Answers older than KEPT; how many."""
    gone, _ = InboundAnswer.objects.filter(created_at__lte=now - KEPT).delete()
    return gone
