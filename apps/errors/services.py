"""What people decide about error groups. Storing events is in storing.py."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q

from apps.audit import services as audit
from apps.errors.models import ErrorGroup, GroupStatus


def _change(group: ErrorGroup, action: str, allowed: Q, actor: Any, reason: str = "", **to: Any) -> None:
    """Move a group by conditional UPDATE; refuse with its present state when it has moved on.

    The row is locked first, so that drains that count in the same moment do not stand in the audit record.
    """
    group.refresh_from_db(from_queryset=ErrorGroup.objects.select_for_update(no_key=True))
    before = audit.snapshot(group)
    if not ErrorGroup.objects.filter(allowed, pk=group.pk).update(**to):
        raise ValidationError(f"This group is {_standing(group)} by now; nothing was changed.")
    group.refresh_from_db()
    changes = audit.changed(before, audit.snapshot(group))
    audit.record(f"error_group.{action}", resource=group, actor=actor, changes=changes, reason=reason)


def _standing(group: ErrorGroup) -> str:
    if group.status == GroupStatus.UNRESOLVED and group.assignee is not None:
        return f"taken by {group.assignee.get_username()}"
    return str(group.get_status_display()).lower()


@transaction.atomic
def take_group(*, group: ErrorGroup, actor: Any) -> None:
    """In progress: this person has it. Refused while somebody has it."""
    free = Q(status=GroupStatus.UNRESOLVED, assignee=None)
    _change(group, "take", free, actor, assignee=actor)


@transaction.atomic
def resolve_group(*, group: ErrorGroup, actor: Any, now: datetime, notes: str = "") -> None:
    """Resolved: a later event of a newer release, or of none, opens it again."""
    _change(
        group, "resolve", ~Q(status=GroupStatus.RESOLVED), actor, notes,
        status=GroupStatus.RESOLVED, resolved_at=now, resolved_by=actor.get_username(), resolution_notes=notes,
        resolved_in_release=F("last_release"),
    )  # fmt: skip


@transaction.atomic
def ignore_group(*, group: ErrorGroup, actor: Any, reason: str = "") -> None:
    """Ignored: still counted, never an alert of its own."""
    _change(group, "ignore", Q(status=GroupStatus.UNRESOLVED), actor, reason, status=GroupStatus.IGNORED)


@transaction.atomic
def reopen_group(*, group: ErrorGroup, actor: Any) -> None:
    """Back to unresolved by hand."""
    _change(
        group, "reopen", ~Q(status=GroupStatus.UNRESOLVED), actor,
        status=GroupStatus.UNRESOLVED, resolved_at=None, resolved_by="", resolved_in_release="",
    )  # fmt: skip
