"""What people decide about error groups. Storing events is in storing.py."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.audit import services as audit
from apps.errors.models import ErrorGroup, GroupStatus


def _change(
    group: ErrorGroup, action: str, allowed: set[str], actor: Any, reason: str = "", **to: Any
) -> None:
    """Move a group by conditional UPDATE; refuse with its present state when it has moved on."""
    before = audit.snapshot(group)
    if not ErrorGroup.objects.filter(pk=group.pk, status__in=allowed).update(**to):
        group.refresh_from_db()
        raise ValidationError(
            f"This group is {group.get_status_display().lower()} by now; nothing was changed."
        )
    group.refresh_from_db()
    changes = audit.changed(before, audit.snapshot(group))
    audit.record(f"error_group.{action}", resource=group, actor=actor, changes=changes, reason=reason)


@transaction.atomic
def take_group(*, group: ErrorGroup, actor: Any) -> None:
    """In progress: this person has it."""
    _change(group, "take", {GroupStatus.UNRESOLVED}, actor, assignee=actor)


@transaction.atomic
def resolve_group(*, group: ErrorGroup, actor: Any, now: datetime, notes: str = "") -> None:
    """Resolved: a later event of a newer release, or of none, opens it again."""
    _change(
        group, "resolve", {GroupStatus.UNRESOLVED, GroupStatus.IGNORED}, actor, notes,
        status=GroupStatus.RESOLVED, resolved_at=now, resolved_by=actor.get_username(), resolution_notes=notes,
        resolved_in_release=group.last_release,
    )  # fmt: skip


@transaction.atomic
def ignore_group(*, group: ErrorGroup, actor: Any, reason: str = "") -> None:
    """Ignored: still counted, never an alert of its own."""
    _change(group, "ignore", {GroupStatus.UNRESOLVED}, actor, reason, status=GroupStatus.IGNORED)


@transaction.atomic
def reopen_group(*, group: ErrorGroup, actor: Any) -> None:
    """Back to unresolved by hand."""
    _change(
        group, "reopen", {GroupStatus.RESOLVED, GroupStatus.IGNORED}, actor,
        status=GroupStatus.UNRESOLVED, resolved_at=None, resolved_by="", resolved_in_release="",
    )  # fmt: skip
