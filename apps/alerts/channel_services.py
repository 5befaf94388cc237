"""Writes about channels: their secrets, and the test of one."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import transaction

from apps.alerts import messages, outbox, sending
from apps.alerts.escalation import Target
from apps.alerts.models import Channel, Page, PageState
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core import secret_fields
from apps.core.severity import Severity


@transaction.atomic
def set_secret(*, channel: Channel, secret: str, actor: Any = None) -> None:
    """Replace the secret of a saved channel. The log says that it was set, never to what."""
    channel.secret = secret_fields.seal(secret, place=channel.secret_place)
    channel.secret_hint = secret_fields.hint(secret) if secret else ""
    channel.save(update_fields=["secret", "secret_hint"])
    audit.record("channel.secret", resource=channel, category=Category.SECURITY, actor=actor)


def send_test(*, channel: Channel, now: datetime, actor: Any = None) -> Page:
    """Send a marked test now, by the way that every page goes; its page, with the receipt.

    In no transaction: a provider is talked to between the claim and the result.
    """
    address = channel.address or f"channel:{channel.pk}"
    target = Target(channel.kind, address, channel.name, channel_id=channel.pk)
    key = f"test-{channel.pk}-{uuid4().hex[:12]}"
    with transaction.atomic():
        outbox.notice(
            key=key, target=target, told=messages.drill(channel.name), now=now, urgency=Severity.CRITICAL
        )
        audit.record("channel.test", resource=channel, category=Category.CONFIG, actor=actor)
    page = Page.objects.get(key=key)
    sending.deliver_one(page, now=now)
    page.refresh_from_db()
    if page.state != PageState.SENT:  # one press is one try
        Page.objects.filter(pk=page.pk, state=PageState.PENDING).update(state=PageState.FAILED)
    return page
