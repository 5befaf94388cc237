"""Every write to post-mortems and action items: drafted from facts, reviewed, approved by somebody else, published."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import rfc8785
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit import services as audit
from apps.core import panels
from apps.core.severity import Severity
from apps.incidents import durations, states
from apps.incidents.models import ActionItem, Incident, PostMortem, PostMortemState
from apps.incidents.services import HUMAN, add_entry

# Business days until a draft is due: people forget what they saw, and soonest what woke them.
DUE_IN_BUSINESS_DAYS = {Severity.CRITICAL: 5, Severity.ERROR: 10, Severity.WARNING: 10, Severity.INFO: 10}
EDITABLE = (PostMortemState.DRAFT, PostMortemState.CHANGES_REQUESTED)
MAX_SECTION = 100_000
TIMELINE_SHOWN = 200


def business_days_after(start: date, days: int) -> date:
    """The date that many Mondays to Fridays later."""
    day = start
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return day


# --- Drafting -----------------------------------------------------------------------------------------------------
@transaction.atomic
def draft_postmortem(*, incident: Incident, author: Any, now: datetime) -> PostMortem:
    """The incident's document, pre-filled from facts; a second call returns the one that is there."""
    found = PostMortem.objects.filter(incident=incident).first()
    if found:
        return found
    if incident.is_open:
        raise ValidationError(
            "First end the failure: a post-mortem is drafted once the incident is resolved."
        )
    document = PostMortem.objects.create(
        incident=incident,
        author=author,
        summary=incident.summary,
        impact=_impact(incident),
        timeline=_timeline(incident),
        due_on=business_days_after(now.date(), DUE_IN_BUSINESS_DAYS[Severity(incident.severity)]),
        created_at=now,
    )
    words = f"Post-mortem drafted, due {document.due_on:%d %b %Y}"
    add_entry(incident=incident, action="postmortem.draft", text=words, kind=HUMAN, at=now, actor=author)
    audit.record("postmortem.draft", resource=document, actor=author)
    return document


def _impact(incident: Incident) -> str:
    """Components, durations, and what upper rooms know about it, one line each."""
    names = ", ".join(incident.components.values_list("name", flat=True)) or "no component named"
    lines = [f"- Components: {names}"]
    for label, took in durations.of(incident).labelled():
        lines.append(f"- {label}: {durations.in_words(took)}")
    for panel in panels.of("incidents.PostMortem", "facts", incident):
        lines += [f"- {panel.title}, {row.label}: {row.value}".rstrip(": ") for row in panel.rows]
    return "\n".join(lines)


def _timeline(incident: Incident) -> str:
    """The story in UTC, oldest first."""
    entries = list(incident.timeline.order_by("-at", "-pk")[:TIMELINE_SHOWN])
    return "\n".join(
        f"- {e.at:%Y-%m-%d %H:%M:%S} UTC {f'{e.actor_label}: ' if e.actor_label else ''}{e.text}"
        for e in reversed(entries)
    )


@transaction.atomic
def save_draft(
    *, document: PostMortem, actor: Any, sections: Mapping[str, str], version: int | None = None
) -> None:
    """Keep what was written. After approval nothing is changed; a stale page loses nothing but is refused."""
    held = PostMortem.objects.select_for_update().get(pk=document.pk)
    if held.state not in EDITABLE:
        raise ValidationError(f"This post-mortem is {held.get_state_display().lower()}: its text is settled.")
    if version is not None and version != held.version:
        raise ValidationError("Somebody else saved this document meanwhile; compare before you save again.")
    before = audit.snapshot(held)
    for name in PostMortem.SECTIONS:
        if name in sections:
            text = sections[name].replace("\x00", "")
            if len(text) > MAX_SECTION:
                raise ValidationError({name: f"At most {MAX_SECTION:,} characters; this has {len(text):,}."})
            setattr(held, name, text)
    held.version += 1
    held.save()
    audit.record(
        "postmortem.update", resource=held, actor=actor, changes=audit.changed(before, audit.snapshot(held))
    )
    document.refresh_from_db()


# --- Review -------------------------------------------------------------------------------------------------------
def content(document: PostMortem) -> dict[str, Any]:
    """What an approval vouches for: the sections and the promises, in the canonical order of their names."""
    items = document.action_items.order_by("pk").values_list("title", "kind", "owner__username", "due_on")
    return {
        "incident": document.incident_id,
        "sections": {name: getattr(document, name) for name in PostMortem.SECTIONS},
        "action_items": [[title, kind, owner, due.isoformat()] for title, kind, owner, due in items],
    }


def content_hash(document: PostMortem) -> str:
    """SHA-256 over the RFC 8785 form of the content, 64 hex digits."""
    return hashlib.sha256(rfc8785.dumps(content(document))).hexdigest()


def _step(document: PostMortem, verb: str, actor: Any, reason: str = "") -> tuple[PostMortem, states.Move]:
    """The locked document and its legal move, or the reason why not."""
    held = PostMortem.objects.select_for_update().get(pk=document.pk)
    step = states.move(states.POSTMORTEM_MOVES, verb, held.state)
    if step is None:
        raise ValidationError(
            f"This post-mortem is {held.get_state_display().lower()} by now; nothing was changed."
        )
    if not actor.has_perm(step.permission):
        raise PermissionDenied(f"{step.label}: the role for this is missing.")
    if step.needs_reason and not reason.strip():
        raise ValidationError({"reason": f"{step.label}: say what is missing."})
    return held, step


def _finish(
    held: PostMortem, step: states.Move, actor: Any, now: datetime, reason: str = "", **to: Any
) -> None:
    """Write the move with its entry and its audit event."""
    PostMortem.objects.filter(pk=held.pk).update(state=step.target, version=F("version") + 1, **to)
    words = f"Post-mortem: {PostMortemState(step.target).label.lower()}"
    words += f" ({reason.strip()})" if reason.strip() else ""
    add_entry(
        incident=held.incident, action=f"postmortem.{step.verb}", text=words, kind=HUMAN, at=now, actor=actor
    )
    details = {"content_hash": to["content_hash"]} if "content_hash" in to else {}
    changes = {"state": [step.source, step.target]}
    audit.record(
        f"postmortem.{step.verb}", resource=held, actor=actor, changes=changes, details=details, reason=reason
    )


@transaction.atomic
def submit(*, document: PostMortem, actor: Any, now: datetime) -> None:
    """Ask for review. Every required section must say something."""
    held, step = _step(document, "submit", actor)
    empty = [name for name in PostMortem.REQUIRED if not getattr(held, name).strip()]
    if empty:
        names = ", ".join(name.replace("_", " ") for name in empty)
        raise ValidationError(f"Still empty: {names}.")
    _finish(held, step, actor, now, submitted_at=now, submitted_by=actor, review_note="")
    document.refresh_from_db()


@transaction.atomic
def request_changes(*, document: PostMortem, actor: Any, reason: str, now: datetime) -> None:
    """Back to its author, with what is missing."""
    held, step = _step(document, "request_changes", actor, reason)
    _finish(held, step, actor, now, reason, review_note=reason.strip())
    document.refresh_from_db()


@transaction.atomic
def approve(*, document: PostMortem, actor: Any, now: datetime) -> None:
    """Vouch for the text as it stands; its hash goes into the audit log. Nobody approves what is their own."""
    held, step = _step(document, "approve", actor)
    if actor.pk in (held.author_id, held.submitted_by_id):
        raise ValidationError("Somebody else has to approve it: you wrote or submitted this post-mortem.")
    digest = content_hash(held)
    _finish(held, step, actor, now, approved_at=now, approved_by=actor, content_hash=digest)
    document.refresh_from_db()


@transaction.atomic
def publish(*, document: PostMortem, actor: Any, now: datetime) -> None:
    """Into the library, for everybody to learn from."""
    held, step = _step(document, "publish", actor)
    _finish(held, step, actor, now, published_at=now)
    document.refresh_from_db()


# --- Promises -----------------------------------------------------------------------------------------------------
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
    """Something that somebody will do by a date."""
    if due_on < timezone.localdate(now):
        raise ValidationError({"due_on": "A promise is due today or later."})
    if document.state not in EDITABLE:
        raise ValidationError(
            f"This post-mortem is {document.get_state_display().lower()}: its text is settled."
        )
    item = ActionItem(
        postmortem=document,
        title=title.strip(),
        kind=kind,
        owner=owner,
        due_on=due_on,
        tracker_url=tracker_url,
        created_at=now,
    )
    item.full_clean()
    item.save()
    audit.record(
        "action_item.create", resource=item, actor=actor, changes=audit.changed({}, audit.snapshot(item))
    )
    return item


def _close_item(
    item: ActionItem, verb: str, actor: Any, sources: tuple[str, ...], reason: str = "", **to: Any
) -> None:
    before = item.state
    if not ActionItem.objects.filter(pk=item.pk, state__in=sources).update(**to):
        item.refresh_from_db()
        raise ValidationError(f"This item is {item.get_state_display().lower()} by now; nothing was changed.")
    item.refresh_from_db()
    changes = {"state": [before, item.state]}
    audit.record(f"action_item.{verb}", resource=item, actor=actor, changes=changes, reason=reason)


@transaction.atomic
def start_action_item(*, item: ActionItem, actor: Any) -> None:
    """In progress."""
    _close_item(item, "start", actor, ("open",), state=ActionItem.State.IN_PROGRESS)


@transaction.atomic
def finish_action_item(*, item: ActionItem, actor: Any, now: datetime, reason: str = "") -> None:
    """Done."""
    _close_item(
        item, "finish", actor, ("open", "in_progress"), reason,
        state=ActionItem.State.DONE, closed_at=now, closing_note=reason,
    )  # fmt: skip


@transaction.atomic
def drop_action_item(*, item: ActionItem, actor: Any, now: datetime, reason: str) -> None:
    """It will not be done, and this is why."""
    if not reason.strip():
        raise ValidationError({"reason": "Say why it will not be done."})
    _close_item(
        item, "drop", actor, ("open", "in_progress"), reason,
        state=ActionItem.State.WONT_DO, closed_at=now, closing_note=reason,
    )  # fmt: skip
