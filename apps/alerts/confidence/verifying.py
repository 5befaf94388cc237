"""Proving an address: a code goes there by the way that every page goes, and whoever reads it types it in.

The code is worked out, not stored: it follows from the address, the quarter of an hour and the installation's key.
"""

from datetime import datetime
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from apps.alerts import messages, outbox, sending
from apps.alerts.escalation import Target
from apps.alerts.models import ContactMethod, Page, PageState
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.severity import Severity

SLOT_S = 900
LENGTH = 10
_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that look alike


def code_for(method: ContactMethod, at: datetime, slots_ago: int = 0) -> str:
    """The code of the quarter of an hour; ten letters, so that guessing has no hope within the time it counts."""
    slot = int(at.timestamp()) // SLOT_S - slots_ago
    digest = salted_hmac(
        "portal.contact-code", f"{method.pk}:{method.user_id}:{method.kind}:{method.address}:{slot}",
        algorithm="sha256",
    ).digest()  # fmt: skip
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:LENGTH])


def send_code(*, method: ContactMethod, now: datetime, actor: Any = None) -> Page:
    """Send the code now; its page, with the receipt. In no transaction: a provider is talked to in between."""
    key = f"confirm-{method.pk}-{uuid4().hex[:12]}"
    target = Target(method.kind, method.address, str(method.user), method.user_id, None, method.pk)
    words = f"Your code is {code_for(method, now)}. Type it in within 15 minutes, to show that pages reach you here."
    where = f"{settings.SITE_URL}/admin/on-call/reachability/confirm/{method.pk}/"
    told = messages.Told("[TEST] Confirm this address", f"{words}\n\n{where}", {"sentence": words})
    with transaction.atomic():
        outbox.notice(key=key, target=target, told=told, now=now, urgency=Severity.ERROR)
        audit.record("contact_method.code", resource=method, category=Category.CONFIG, actor=actor)
    page = Page.objects.get(key=key)
    sending.deliver_one(page, now=now)
    page.refresh_from_db()
    if not went_out(page):  # one press is one try
        Page.objects.filter(pk=page.pk, state=PageState.PENDING).update(state=PageState.FAILED)
    return page


def went_out(page: Page) -> bool:
    """Whether the code left; some channels hear of its delivery at once."""
    return page.state in (PageState.SENT, PageState.DELIVERED)


@transaction.atomic
def confirm(*, method: ContactMethod, code: str, now: datetime, actor: Any = None) -> None:
    """The address is proven; ValidationError when the code is not of this or the last quarter of an hour."""
    given = code.strip().upper()
    if not any(constant_time_compare(given, code_for(method, now, ago)) for ago in (0, 1)):
        raise ValidationError({"code": "That is not the code that was sent, or it is older than 15 minutes."})
    ContactMethod.objects.filter(pk=method.pk).update(verified_at=now)
    audit.record("contact_method.verify", resource=method, category=Category.CONFIG, actor=actor)
