"""Every write to post-mortems: drafted from facts, reviewed, approved by somebody else, published."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import rfc8785
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F

from apps.audit import services as audit
from apps.core import panels
from apps.core.severity import Severity
from apps.incidents import durations, states
from apps.incidents.models import Incident, PostMortem, PostMortemState
from apps.incidents.services import HUMAN, ILLEGAL, STALE, add_entry, locked, reason_of

# Business days until it is due. Two weeks, in which people still remember what they saw; one for a critical failure,
# since it may come back before the other week is over.
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
    held = locked(incident)  # two who press at once wait here, and the second finds the first one's document
    found = PostMortem.objects.filter(incident=held).first()
    if found:
        return found
    _require(author, "incidents.add_postmortem", "Draft post-mortem")
    if held.is_open:
        raise ValidationError(
            "First end the failure: a post-mortem is drafted once the incident is resolved."
        )
    document = PostMortem.objects.create(
        incident=held, author=author, summary=held.summary, impact=_impact(held), timeline=_timeline(held),
        due_on=business_days_after(now.date(), DUE_IN_BUSINESS_DAYS[Severity(held.severity)]), created_at=now,
    )  # fmt: skip
    words = f"Post-mortem drafted, due {document.due_on:%d %b %Y}"
    add_entry(incident=incident, action="postmortem.draft", text=words, kind=HUMAN, at=now, actor=author)
    changes = audit.changed({}, audit.snapshot(document))
    audit.record("postmortem.draft", resource=document, actor=author, changes=changes)
    return document


def _require(actor: Any, permission: str, label: str) -> None:
    if not actor.has_perm(permission):
        raise PermissionDenied(f"{label}: the role for this is missing.")


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
    _require(actor, "incidents.change_postmortem", "Write")
    held = editable(document)
    if version is not None and version != held.version:
        words = "Somebody else saved this document meanwhile; compare before you save again."
        raise ValidationError(words, code=STALE)
    before = audit.snapshot(held)
    for name in PostMortem.SECTIONS:
        if name in sections:
            setattr(held, name, _section(name, sections[name]))
    differs = audit.changed(before, audit.snapshot(held))
    if differs:
        held.version += 1
        held.save(update_fields=[*PostMortem.SECTIONS, "version"])
        audit.record("postmortem.update", resource=held, actor=actor, changes=differs)
    document.refresh_from_db()


def _locked(document: PostMortem) -> PostMortem:
    return PostMortem.objects.select_for_update(no_key=True, of=("self",)).get(pk=document.pk)


def editable(document: PostMortem) -> PostMortem:
    """The document, held, while its text may still change."""
    held = _locked(document)
    if held.state not in EDITABLE:
        words = f"This post-mortem is {held.get_state_display().lower()}: its text is settled."
        if held.state == PostMortemState.IN_REVIEW:
            words += " A reviewer can ask for changes."
        raise ValidationError(words)
    return held


def _section(name: str, text: str) -> str:
    repaired = text.replace("\x00", "")
    if len(repaired) > MAX_SECTION:
        raise ValidationError({name: f"At most {MAX_SECTION:,} characters; this has {len(repaired):,}."})
    return repaired


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


def _step(
    document: PostMortem, verb: str, actor: Any, version: int | None, reason: str = ""
) -> tuple[PostMortem, states.Move]:
    """The held document and its legal move, or the reason why not."""
    held = _locked(document)
    if version is not None and version != held.version:
        words = (
            f"It was changed since you read it, and is {held.get_state_display().lower()} now. Read it again."
        )
        raise ValidationError(words, code=STALE)
    step = states.move(states.POSTMORTEM_MOVES, verb, held.state)
    if step is None:
        words = f"This post-mortem is {held.get_state_display().lower()} by now; nothing was changed."
        raise ValidationError(words, code=ILLEGAL)
    _require(actor, step.permission, step.label)
    reason_of(step, reason)
    return held, step


def _finish(
    held: PostMortem, step: states.Move, actor: Any, now: datetime, reason: str = "", **to: Any
) -> None:
    """Write the move with its entry and its audit event."""
    guard = PostMortem.objects.filter(pk=held.pk, state=step.source, version=held.version)
    if not guard.update(state=step.target, version=F("version") + 1, **to):
        raise ValidationError("Somebody else was faster. Nothing was changed; read it again.", code=STALE)
    said = reason.strip()
    words = f"Post-mortem: {PostMortemState(step.target).label.lower()}" + (f" ({said})" if said else "")
    add_entry(
        incident=held.incident, action=f"postmortem.{step.verb}", text=words, kind=HUMAN, at=now, actor=actor
    )
    details = {"content_hash": to["content_hash"], "version": held.version} if "content_hash" in to else {}
    changes = {"state": [step.source, step.target]}
    audit.record(
        f"postmortem.{step.verb}", resource=held, actor=actor, changes=changes, details=details, reason=said
    )


@transaction.atomic
def submit(*, document: PostMortem, actor: Any, now: datetime, version: int | None = None) -> None:
    """Ask for review. Every required section must say something; the empty ones are named."""
    held, step = _step(document, "submit", actor, version)
    empty = [name for name in PostMortem.REQUIRED if not getattr(held, name).strip()]
    if empty:
        raise ValidationError({name: f"Still empty: {name.replace('_', ' ')}." for name in empty})
    _finish(held, step, actor, now, submitted_at=now, submitted_by=actor, review_note="")
    document.refresh_from_db()


@transaction.atomic
def request_changes(
    *, document: PostMortem, actor: Any, reason: str, now: datetime, version: int | None = None
) -> None:
    """Back to its author, with what is missing."""
    held, step = _step(document, "request_changes", actor, version, reason)
    _finish(held, step, actor, now, reason, review_note=reason.strip())
    document.refresh_from_db()


@transaction.atomic
def approve(*, document: PostMortem, actor: Any, now: datetime, version: int | None = None) -> None:
    """Vouch for the text as it stands; its hash goes into the audit log.

    Nobody approves what they wrote or submitted, whatever their roles.
    """
    held, step = _step(document, "approve", actor, version)
    if actor.pk in (held.author_id, held.submitted_by_id):
        raise ValidationError("Somebody else has to approve it: you wrote or submitted this post-mortem.")
    digest = content_hash(held)
    _finish(held, step, actor, now, approved_at=now, approved_by=actor, content_hash=digest)
    document.refresh_from_db()


@transaction.atomic
def publish(*, document: PostMortem, actor: Any, now: datetime, version: int | None = None) -> None:
    """Into the library, for everybody to learn from."""
    held, step = _step(document, "publish", actor, version)
    _finish(held, step, actor, now, published_at=now)
    document.refresh_from_db()
