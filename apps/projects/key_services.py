"""Writes about keys: a successor beside the old one for a while, and an end at once."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Least

from apps.audit import services as audit
from apps.audit.models import Category
from apps.projects.models import ProjectKey

OVERLAP_DAYS = 7
LONGEST_OVERLAP_DAYS = 90


@transaction.atomic
def rotate_key(*, key: ProjectKey, overlap_days: int, now: datetime, actor: Any = None) -> ProjectKey:
    """A successor with the same limits and origins; the old key works for `overlap_days` more, unless it ends sooner.

    Raises ValidationError for a key that has ended or has a successor already.
    """
    if not 0 <= overlap_days <= LONGEST_OVERLAP_DAYS:
        raise ValidationError({"overlap_days": f"Use 0 to {LONGEST_OVERLAP_DAYS} days."})
    ends = now + timedelta(days=overlap_days)
    here = ProjectKey.objects.usable(now).filter(pk=key.pk, replaced_by=None)
    if not here.update(expires_at=Least("expires_at", ends)):  # of nothing and a time the time
        raise ValidationError("This key has ended or has a successor already; nothing was changed.")
    key.refresh_from_db()
    successor = ProjectKey(
        project_id=key.project_id,
        label=key.label,
        allowed_origins=key.allowed_origins,
        rate_limit_per_minute=key.rate_limit_per_minute,
    )
    successor.full_clean()
    successor.save()
    ProjectKey.objects.filter(pk=key.pk).update(replaced_by=successor)
    key.refresh_from_db()
    said = {"successor": shown(successor), "ends": key.expires_at}
    audit.record("project_key.rotate", resource=key, category=Category.SECURITY, actor=actor, details=said)
    return successor


@transaction.atomic
def revoke_key(*, key: ProjectKey, actor: Any = None) -> None:
    """End a key at once: the door refuses it within seconds. Raises ValidationError if it is off already."""
    if not ProjectKey.objects.filter(pk=key.pk, active=True).update(active=False):
        raise ValidationError("This key is switched off already; nothing was changed.")
    key.refresh_from_db()
    changes = {"active": [True, False]}
    audit.record("project_key.revoke", resource=key, category=Category.SECURITY, actor=actor, changes=changes)


def shown(key: ProjectKey) -> str:
    """As much of a key as stands in records: enough to tell it from others."""
    return f"{key.public_key[:8]}…"
