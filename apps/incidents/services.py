"""The life of an incident: opened, noted, acknowledged, moved, resolved. Corrections of its facts are in
corrections.py, post-mortems in postmortems.py.

Guards are in the UPDATE: of two people who act on one page, one wins and the other is told what happened. Each write
that a page should know about raises `version` and leaves an entry that carries the new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Case, DateTimeField, F, Value, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from apps.audit import services as audit
from apps.core.bulk import copy_rows
from apps.core.text import storable
from apps.incidents import durations, states
from apps.incidents.models import Incident, IncidentState, PostMortemState, TimelineEntry
from apps.projects.models import Component, Project

MAX_NOTE = 10_000
MAX_REASON = 2_000
HUMAN, MACHINE = TimelineEntry.Kind.HUMAN, TimelineEntry.Kind.MACHINE
STALE, ILLEGAL = "stale", "illegal_move"
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_SETTLED = (PostMortemState.APPROVED, PostMortemState.PUBLISHED)


# --- Timeline -----------------------------------------------------------------------------------------------------
@transaction.atomic
def add_entry(
    *,
    incident: Incident,
    action: str,
    text: str,
    kind: str = "machine",
    at: datetime,
    tone: str = "neutral",
    actor: Any = None,
    data: Mapping[str, Any] | None = None,
) -> TimelineEntry:
    """One line of the timeline: a fact of the machine, or with `kind="human"` what somebody did or saw.

    The service whose story it tells writes the audit event.
    """
    return TimelineEntry.objects.create(
        incident=incident, at=at, kind=kind, action=action, text=text, tone=tone, actor=actor,
        actor_label=actor.get_username() if actor else "", data=dict(data or {}),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact of the machine for the timeline of an incident."""

    incident_id: int
    action: str
    text: str
    at: datetime
    tone: str = "neutral"
    data: Mapping[str, Any] = field(default_factory=dict)


def add_entries(entries: Sequence[Entry]) -> None:
    """Many lines of many timelines, in one COPY. As with `add_entry`, whose story it is writes the audit event."""
    columns = ("incident_id", "at", "kind", "action", "text", "tone", "actor_label", "data")
    if entries:
        copy_rows(TimelineEntry._meta.db_table, columns, map(_packed, entries))


def _packed(entry: Entry) -> tuple[bytes, ...]:
    """In PostgreSQL's binary form. NUL, which it cannot hold, is left out, as everywhere."""
    microseconds = (entry.at - _POSTGRES_EPOCH) // timedelta(microseconds=1)
    return (
        entry.incident_id.to_bytes(8, "big"), microseconds.to_bytes(8, "big", signed=True), MACHINE.encode(),
        entry.action.encode(), storable(entry.text).encode(), entry.tone.encode(), b"",
        b"\x01" + orjson.dumps(dict(entry.data)),
    )  # fmt: skip


@transaction.atomic
def add_note(
    *, incident: Incident, text: str, actor: Any, now: datetime, corrects: TimelineEntry | None = None
) -> TimelineEntry:
    """What somebody saw or did. Notes are never edited: a correction is a new one that names the old."""
    words = text.replace("\x00", "").strip()
    if not words:
        raise ValidationError({"text": "Write something first."})
    if len(words) > MAX_NOTE:
        raise ValidationError({"text": f"At most {MAX_NOTE:,} characters; this note has {len(words):,}."})
    if corrects is not None and corrects.incident_id != incident.pk:
        raise ValidationError({"corrects": "That note belongs to another incident."})
    entry = TimelineEntry.objects.create(
        incident=incident, at=now, kind=HUMAN, action="incident.note", text=words, actor=actor,
        actor_label=actor.get_username(), corrects=corrects,
    )  # fmt: skip
    audit.record("incident.note", resource=incident, actor=actor, details={"entry": entry.pk})
    return entry


# --- Opening and its stamps ---------------------------------------------------------------------------------------
@transaction.atomic
def open_incident(
    *,
    title: str,
    project: Project,
    severity: str,
    components: Iterable[Component] = (),
    began_at: datetime,
    detected_at: datetime | None = None,
    summary: str = "",
    opened_by: str = "",
    actor: Any = None,
    page_nobody: bool = False,
    now: datetime,
) -> Incident:
    """An incident in triage. By hand it gets an alert, and so a page, on the next watch tick unless `page_nobody`.

    Detected when it was opened, unless somebody knows better; it began no later than that.
    """
    if began_at > now:
        raise ValidationError({"began_at": "It cannot begin in the future."})
    label = opened_by or (actor.get_username() if actor else "")
    detected = min(detected_at or now, now)
    hit = list(components)
    refuse_strangers(project, hit)
    incident = Incident(
        title=title.strip()[:200], project=project, severity=severity, began_at=min(began_at, detected),
        detected_at=detected, summary=summary.replace("\x00", ""), opened_by=label[:150], page_nobody=page_nobody,
        created_at=now,
    )  # fmt: skip
    incident.full_clean(exclude=["project", "commander", "merged_into"])
    incident.save()
    incident.components.set(hit)
    add_entry(
        incident=incident, action="incident.open", text=f"Opened by {label}" if label else "Opened", at=now,
        tone="bad", actor=actor, kind=HUMAN if actor else MACHINE,
    )  # fmt: skip
    changes = audit.changed({}, audit.snapshot(incident)) | {"components": [None, [c.name for c in hit]]}
    audit.record("incident.open", resource=incident, actor=actor, changes=changes)
    return incident


def refuse_strangers(project: Project, components: Iterable[Component]) -> None:
    """Components of another project would page the wrong people."""
    strange = [c.name for c in components if c.project_id != project.pk]
    if strange:
        raise ValidationError({"components": f"Not part of {project}: {', '.join(strange)}."})


def _stamp(name: str, at: datetime) -> Greatest:
    """`at`, but never before an earlier stamp: clocks of several machines differ. PostgreSQL passes over unset ones."""
    earlier = (F(n) for n in durations.earlier_stamps(name))
    return Greatest(Value(at, output_field=DateTimeField()), *earlier)


@transaction.atomic
def acknowledge(*, incident: Incident, by: str, at: datetime, actor: Any = None, via: str = "admin") -> bool:
    """Somebody has it: stamped once, by the first. True if this call was the first. Stopping the paging is alerts'."""
    before = locked(incident).state
    triage = When(state=IncidentState.TRIAGE, then=Value(IncidentState.INVESTIGATING))
    stamped = Incident.objects.filter(
        pk=incident.pk, acknowledged_at=None, state__in=states.INCIDENT_OPEN
    ).update(
        acknowledged_at=_stamp("acknowledged_at", at), acknowledged_by=by[:150],
        state=Case(triage, default=F("state")), version=F("version") + 1,
    )  # fmt: skip
    incident.refresh_from_db()
    if not stamped:
        return False
    add_entry(
        incident=incident, action="incident.acknowledge", text=f"Acknowledged by {by} via {via}", at=at,
        tone="good", actor=actor, data={"via": via, "version": incident.version},
    )  # fmt: skip
    changes = audit.plain(
        {"acknowledged_at": [None, incident.acknowledged_at], "state": [before, incident.state]}
    )
    details = {"by": by, "via": via}
    audit.record("incident.acknowledge", resource=incident, actor=actor, details=details, changes=changes)
    return True


def count_alerts(*, incident: Incident, open_alerts: int) -> None:
    """How many of its alerts are open: a figure that the alerts room keeps here, and audits alert by alert there."""
    Incident.objects.filter(pk=incident.pk).exclude(open_alerts=open_alerts).update(open_alerts=open_alerts)


# --- Moving -------------------------------------------------------------------------------------------------------
def locked(incident: Incident) -> Incident:
    """The row as it stands, held until the transaction ends; entries may still be added beside it."""
    return Incident.objects.select_for_update(no_key=True, of=("self",)).get(pk=incident.pk)


def may_move(actor: Any, step: states.Move, severity: str) -> bool:
    """Whether this person may make this move of an incident of that severity."""
    return bool(actor.has_perm(states.permission_of(step, severity)))


@transaction.atomic
def move(
    *,
    incident: Incident,
    verb: str,
    actor: Any,
    version: int | None = None,
    reason: str = "",
    now: datetime,
    into: Incident | None = None,
) -> Incident:
    """One legal transition by a person; merging names the incident that takes over with `into`.

    ValidationError says why not: code "stale" tells who came first, "illegal_move" what may be done instead.
    PermissionDenied when the person's role is missing.
    """
    target = _merge_target(incident, verb, into)
    held = locked(incident)
    refuse_stale(held, version)
    step = _legal(held, verb)
    if not may_move(actor, step, held.severity):
        raise PermissionDenied(f"{step.label}: the role for this is missing.")
    said = reason_of(step, reason)
    if verb == "close":
        _refuse_close(held)
    _apply(held, step, now, **({"merged_into": target} if target else {}))
    words = f"{step.label} into {target.number}" if target else step.label
    _tell(held, step, f"{words}: {said}" if said else words, now, actor=actor, reason=said)
    if target:
        text = f"{held.number} was merged into this one: {held.title}"
        add_entry(incident=target, action="incident.merge", text=text, kind=HUMAN, at=now, actor=actor)
    return held


def _legal(held: Incident, verb: str) -> states.Move:
    step = states.move(states.INCIDENT_MOVES, verb, held.state)
    if step is not None:
        return step
    known = states.verbs(states.INCIDENT_MOVES)
    if verb not in known:
        raise ValidationError({"verb": f"Unknown. Known: {', '.join(known)}."})
    legal = ", ".join(states.verbs(tuple(states.moves_from(states.INCIDENT_MOVES, held.state)))) or "nothing"
    words = f"{held.number} is {held.get_state_display().lower()} by now, and from there: {legal}."
    raise ValidationError(f"{words} {_who_came_first(held)}Nothing was changed.", code=ILLEGAL)


def reason_of(step: states.Move, reason: str) -> str:
    """The reason without its margins; refused when it is missing where the table asks for one, or too long."""
    said = reason.replace("\x00", "").strip()
    if step.needs_reason and not said:
        raise ValidationError({"reason": f"{step.label}: say why."})
    if len(said) > MAX_REASON:
        raise ValidationError({"reason": f"At most {MAX_REASON:,} characters; this has {len(said):,}."})
    return said


def _who_came_first(held: Incident) -> str:
    """Who made the version that stands, what it was, and when."""
    last = held.timeline.filter(data__version=held.version).first()
    if last is None:
        return ""
    at = timezone.localtime(last.at).strftime("%H:%M:%S %Z")
    return f"{last.actor_label or 'The portal'} at {at}: {last.text}. "


def refuse_stale(held: Incident, version: int | None) -> None:
    """Somebody changed it after the page was drawn: say who, what and when."""
    if version is not None and version != held.version:
        words = f"Somebody else was faster. {_who_came_first(held)}Nothing was changed; look again."
        raise ValidationError(words, code=STALE)


def _refuse_close(held: Incident) -> None:
    """Closing ends the story: no alert may still be open, and a required post-mortem must be approved."""
    if held.open_alerts:
        raise ValidationError(
            f"{held.number} has open alerts: {held.open_alerts}. End them before it is closed."
        )
    document = getattr(held, "postmortem", None)
    if held.needs_postmortem and (document is None or document.state not in _SETTLED):
        raise ValidationError("A critical incident needs an approved post-mortem before it is closed.")


def _merge_target(incident: Incident, verb: str, into: Incident | None) -> Incident | None:
    """The one that takes over. Both rows are held in the order of their numbers, so that two merges cannot wait
    for each other, and neither can end in the other."""
    if verb != "merge":
        return None
    if into is None or into.pk == incident.pk:
        raise ValidationError({"into": "Name the other incident that takes over."})
    pair = (
        Incident.objects.select_for_update(no_key=True).filter(pk__in=(incident.pk, into.pk)).order_by("pk")
    )
    target = {row.pk: row for row in pair}.get(into.pk)
    if target is None or not target.is_open:
        raise ValidationError({"into": f"{into.number} is not open."})
    return target


def _apply(held: Incident, step: states.Move, at: datetime, **more: Any) -> None:
    """The state with its stamps. Resolved is mitigated, at the latest then; going back clears what no longer holds."""
    to: dict[str, Any] = {"state": step.target, "version": F("version") + 1, **more}
    if step.target in ("monitoring", "resolved"):
        to["mitigated_at"] = Coalesce(F("mitigated_at"), _stamp("mitigated_at", at))
    if step.target == "resolved":
        to["resolved_at"] = _stamp("resolved_at", at)
    if step.target in ("closed", "declined", "cancelled", "merged"):
        to["closed_at"] = at
    to |= dict.fromkeys(states.cleared_by(step))
    guard = Incident.objects.filter(pk=held.pk, state=step.source, version=held.version)
    guard = guard.filter(open_alerts=0) if step.verb == "close" else guard
    if not guard.update(**to):
        raise ValidationError("Somebody else was faster. Nothing was changed; look again.", code=STALE)


def _tell(held: Incident, step: states.Move, words: str, at: datetime, *, actor: Any, **said: Any) -> None:
    """The entry and the audit event of a move; `held` becomes the row as it now is."""
    before = audit.snapshot(held)
    held.refresh_from_db()
    reason = str(said.pop("reason", ""))
    add_entry(
        incident=held, action=f"incident.{step.verb}", text=words, kind=HUMAN if actor else MACHINE, at=at,
        tone="good" if step.target in ("monitoring", "resolved", "closed") else "neutral", actor=actor,
        data={"from": step.source, "to": step.target, "version": held.version, **said},
    )  # fmt: skip
    changes = audit.changed(before, audit.snapshot(held))
    audit.record(
        f"incident.{step.verb}", resource=held, actor=actor, reason=reason, changes=changes, details=said
    )


@transaction.atomic
def mark_resolved(
    *,
    incident: Incident,
    by: str,
    at: datetime,
    actor: Any = None,
    via: str = "admin",
    version: int | None = None,
) -> bool:
    """Resolve out of any open state, for the verb of alerts that stops paging too. True if this call did it.

    A person needs the role that the severity asks for; the portal itself (no actor) resolves any.
    """
    held = locked(incident)
    if not held.is_open:
        return False
    refuse_stale(held, version)
    step = _legal(held, "resolve")
    if actor is not None and not may_move(actor, step, held.severity):
        raise PermissionDenied("Resolve: the role for this is missing.")
    _apply(held, step, at)
    _tell(held, step, f"Resolved by {by} via {via}", at, actor=actor, by=by, via=via)
    incident.refresh_from_db()
    return True
