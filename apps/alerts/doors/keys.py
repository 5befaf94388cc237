"""Keys of integrations: made, rotated, revoked; and whether a request with one may come in."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least

from apps.alerts import messages, outbox, paging
from apps.alerts.doors import sliding
from apps.alerts.models import EscalationPolicy, Integration, IntegrationKey
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core import ids
from apps.core.text import storable

OVERLAP_DAYS = 7
LONGEST_OVERLAP_DAYS = 90
KEY_LENGTH = 32
SHOWN = 6


@dataclass(frozen=True)
class Admitted:
    """A request with a right key. `wait_s` is above 0 where it is one too many."""

    integration: Integration
    wait_s: int = 0


def digest_of(secret: str) -> bytes:
    """What is stored of a key; 128 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


@transaction.atomic
def make_key(
    *, integration: Integration, now: datetime, overlap_days: int = OVERLAP_DAYS, actor: Any = None
) -> str:
    """A new key, whose secret is returned here and known nowhere else. Older ones end after `overlap_days`."""
    if not 0 <= overlap_days <= LONGEST_OVERLAP_DAYS:
        raise ValidationError({"overlap_days": f"Use 0 to {LONGEST_OVERLAP_DAYS} days."})
    ends = now + timedelta(days=overlap_days)
    integration.keys.usable(now).update(
        expires_at=Least("expires_at", ends)
    )  # of nothing and a time the time
    secret = secrets.token_hex(KEY_LENGTH // 2)
    made = IntegrationKey.objects.create(
        integration=integration, digest=digest_of(secret), prefix=secret[:SHOWN], created_at=now,
        created_by=actor.get_username() if actor else "",
    )  # fmt: skip
    details = {"key": f"{made.prefix}…", "older_end": ends}
    audit.record(
        "integration.key", resource=integration, category=Category.SECURITY, actor=actor, details=details
    )
    return secret


@transaction.atomic
def revoke_keys(*, integration: Integration, now: datetime, actor: Any = None) -> int:
    """End all keys at once; how many. Raises ValidationError where there is none."""
    ended = integration.keys.usable(now).update(revoked_at=now)
    if not ended:
        raise ValidationError("There is no key that opens anything.")
    audit.record(
        "integration.revoke", resource=integration, category=Category.SECURITY, actor=actor, details={"keys": ended}
    )  # fmt: skip
    return ended


@transaction.atomic
def admit(*, secret: str, fits: Callable[[Integration], bool], now: datetime) -> Admitted | None:
    """The integration behind a key, with the request counted; None for an unknown key and for a key of another door.

    The row of the key is held, so that the limit is exact however many send at once.
    """
    held = (
        IntegrationKey.objects.usable(now)
        .filter(digest=digest_of(secret), integration__enabled=True)
        .select_related("integration__project", "integration__component", "integration__policy")
        .select_for_update(of=("self",))
        .first()
    )
    if held is None or not fits(held.integration):
        return None
    integration = held.integration
    recent, wait_s = sliding.take(held.recent, now=ids.millis(now), limit=integration.limit_per_minute)
    IntegrationKey.objects.filter(pk=held.pk).update(recent=recent, last_used_at=now)
    refused = {"throttled": F("throttled") + 1} if wait_s else {}
    Integration.objects.filter(pk=integration.pk).update(
        received=F("received") + 1, last_received_at=now, **refused
    )
    if wait_s:
        _tell_the_owner(integration, now)
    return Admitted(integration, wait_s)


def _tell_the_owner(integration: Integration, now: datetime) -> None:
    """Once a day, whoever answers for its policy: what sends so much is broken, or needs a higher limit."""
    policy = integration.policy or EscalationPolicy.objects.filter(is_default=True).first()
    told = messages.too_many(integration.name, integration.limit_per_minute)
    for target in paging.plan_for(policy, now).fallback if policy else ():
        key = outbox.key_of("limited", integration.pk, f"{now:%Y%m%d}", target.kind, target.address)
        outbox.notice(key=key, target=target, told=told, now=now)


@transaction.atomic
def note_rejected(*, integration: Integration, reason: str, now: datetime) -> None:
    """What its page shows of a body that was not taken."""
    Integration.objects.filter(pk=integration.pk).update(
        rejected=F("rejected") + 1, last_rejected_at=now, last_rejection=storable(reason)[:300]
    )


@transaction.atomic
def note_truncated(*, integration: Integration, left_out: int, now: datetime) -> None:
    """The sender left alerts out of its message, or no longer does."""
    changed = Integration.objects.filter(pk=integration.pk).filter(
        ~Q(truncated=left_out) | Q(truncated__gt=0)
    )
    changed.update(truncated=left_out, truncated_at=now if left_out else None)
