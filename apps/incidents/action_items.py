"""Every write to action items: promised in a post-mortem, begun, done, or dropped with a reason."""

from datetime import date, datetime
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone

from apps.audit import services as audit
from apps.incidents import states
from apps.incidents.models import ActionItem, PostMortem
from apps.incidents.postmortems import editable
from apps.incidents.services import HUMAN, ILLEGAL, add_entry, reason_of


@transaction.atomic
def add_action_item(
    *,
    document: PostMortem,
    title: str,
    kind: str,
    owner: Any,
    due_on: date,
    actor: Any,
    now: datetime,
    tracker_url: str = "",
) -> ActionItem:
    """Something that somebody will do by a date. Promises are part of what is approved, so none is added later."""
    if not actor.has_perm("incidents.add_actionitem"):
        raise PermissionDenied("Add an action item: the role for this is missing.")
    if due_on < timezone.localdate(now):
        raise ValidationError({"due_on": "A promise is due today or later."})
    if not owner.is_active:
        raise ValidationError({"owner": "Somebody who can sign in has to answer for it."})
    held = editable(document)
    item = ActionItem(
        postmortem=held, title=title.replace("\x00", "").strip(), kind=kind, owner=owner, due_on=due_on,
        tracker_url=tracker_url, created_at=now,
    )  # fmt: skip
    item.full_clean()
    item.save()
    words = f"Promised by {owner.get_username()} until {due_on:%d %b %Y}: {item.title}"
    add_entry(
        incident=held.incident, action="action_item.create", text=words, kind=HUMAN, at=now, actor=actor
    )
    changes = audit.changed({}, audit.snapshot(item))
    audit.record("action_item.create", resource=item, actor=actor, changes=changes)
    return item


def _move(item: ActionItem, verb: str, actor: Any, reason: str = "", **to: Any) -> None:
    """One legal move; the state that it starts from is the UPDATE's guard."""
    before = audit.snapshot(item)
    item.refresh_from_db()
    step = states.move(states.ACTION_ITEM_MOVES, verb, item.state)
    if step is None:
        raise ValidationError(f"This item is {item.get_state_display().lower()} by now.", code=ILLEGAL)
    if not actor.has_perm(step.permission):
        raise PermissionDenied(f"{step.label}: the role for this is missing.")
    said = reason_of(step, reason)
    if said:
        to["closing_note"] = said
    if not ActionItem.objects.filter(pk=item.pk, state=step.source).update(state=step.target, **to):
        raise ValidationError("Somebody else was faster. Nothing was changed; look again.", code=ILLEGAL)
    item.refresh_from_db()
    changes = audit.changed(before, audit.snapshot(item))
    audit.record(f"action_item.{verb}", resource=item, actor=actor, changes=changes, reason=said)


@transaction.atomic
def start_action_item(*, item: ActionItem, actor: Any) -> None:
    """In progress."""
    _move(item, "start", actor)


@transaction.atomic
def finish_action_item(*, item: ActionItem, actor: Any, now: datetime, reason: str = "") -> None:
    """Done; a note of what came of it may stay empty."""
    _move(item, "finish", actor, reason, closed_at=now)


@transaction.atomic
def drop_action_item(*, item: ActionItem, actor: Any, now: datetime, reason: str) -> None:
    """It will not be done, and this is why."""
    _move(item, "drop", actor, reason, closed_at=now)
