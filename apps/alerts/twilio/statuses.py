"""What Twilio says became of a message. It may come in any order, and before our own record of having sent it."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.alerts import outbox
from apps.alerts.models import Page, PageState
from apps.core.ticks import wake

DELIVERED, LOST = frozenset({"delivered", "read"}), frozenset({"failed", "undelivered", "canceled"})
_OUT = Q(state=PageState.SENT) | Q(state=PageState.CLAIMED)


@transaction.atomic
def take(*, key: str, status: str, error: str, now: datetime) -> bool:
    """Mark the message of a page. True if that changed anything.

    Delivered is the end: nothing that comes later takes it back. Lost after it was sent begins the next way at once.
    """
    together = Page.objects.filter(Q(key=key) | Q(carrier__key=key), _OUT).select_related(
        "alert", "escalation"
    )
    if status in DELIVERED:
        return bool(together.update(state=PageState.DELIVERED, sent_at=now))
    if status not in LOST:
        return False
    lost = list(together)
    for page in lost:
        outbox.lose(page, f"Twilio: {status} {error}".strip(), now=now)
    if lost:
        wake("alerts.deliver")
    return bool(lost)
