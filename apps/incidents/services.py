"""Every write to incidents and their timelines. Post-mortems are in postmortems.py.

Guards are in the UPDATE: of two people who act on one page, one wins and the other is told what happened.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit import services as audit
from apps.core.severity import Severity
from apps.incidents import states
from apps.incidents.models import Incident, IncidentState, PostMortemState, TimelineEntry
from apps.projects.models import Component, Project

MAX_NOTE = 10_000
STAMPS = ("began_at", "detected_at", "acknowledged_at", "mitigated_at", "resolved_at")
HUMAN, MACHINE = TimelineEntry.Kind.HUMAN, TimelineEntry.Kind.MACHINE


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
    """One line of the timeline: a fact of the machine, or with `kind="human"` what somebody did or saw."""
    return TimelineEntry.objects.create(
        incident=incident,
        at=at,
        kind=kind,
        action=action,
        text=text,
        tone=tone,
        actor=actor,
        actor_label=actor.get_username() if actor else "",
        data=dict(data or {}),
    )


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
    """An incident in triage. By hand it gets an alert, and so a page, on the next watch tick unless `page_nobody`."""
    if began_at > now:
        raise ValidationError({"began_at": "It cannot begin in the future."})
    label = opened_by or (actor.get_username() if actor else "")
    incident = Incident(
        title=title.strip()[:200],
        project=project,
        severity=severity,
        began_at=began_at,
        detected_at=detected_at or now,
        summary=summary,
        opened_by=label,
        page_nobody=page_nobody,
        created_at=now,
    )
    incident.full_clean(exclude=["commander", "merged_into"])
    incident.save()
    incident.components.set(components)
    words = f"Opened by {label}" if label else "Opened"
    add_entry(
        incident=incident,
        action="incident.open",
        text=words,
        at=now,
        tone="bad",
        actor=actor,
        kind=HUMAN if actor else MACHINE,
    )
    audit.record(
        "incident.open", resource=incident, actor=actor, changes=audit.changed({}, audit.snapshot(incident))
    )
    return incident


@transaction.atomic
def acknowledge(*, incident: Incident, by: str, at: datetime, actor: Any = None, via: str = "admin") -> bool:
    """Somebody has it: stamped once, by the first. True if this call was the first. Stopping the paging is alerts'."""
    stamped = Incident.objects.filter(
        pk=incident.pk, acknowledged_at=None, state__in=states.INCIDENT_OPEN
    ).update(acknowledged_at=at, acknowledged_by=by, version=F("version") + 1)
    if not stamped:
        return False
    Incident.objects.filter(pk=incident.pk, state=IncidentState.TRIAGE).update(
        state=IncidentState.INVESTIGATING
    )
    add_entry(
        incident=incident,
        action="incident.acknowledge",
        text=f"Acknowledged by {by} via {via}",
        at=at,
        tone="good",
        actor=actor,
        data={"via": via},
    )
    audit.record("incident.acknowledge", resource=incident, actor=actor, details={"by": by, "via": via})
    incident.refresh_from_db()
    return True


def count_alerts(*, incident: Incident, open_alerts: int) -> None:
    """How many of its alerts are open: a figure that the alerts room keeps here."""
    Incident.objects.filter(pk=incident.pk).exclude(open_alerts=open_alerts).update(open_alerts=open_alerts)


# --- Moving -------------------------------------------------------------------------------------------------------
def may_move(actor: Any, step: states.Move) -> bool:
    """Whether this person may make this move at all."""
    return bool(actor.has_perm(step.permission))


@transaction.atomic
def move(
    *, incident: Incident, verb: str, actor: Any, version: int | None = None, reason: str = "", now: datetime
) -> Incident:
    """One legal transition by a person. ValidationError says why not; a stale `version` says who came first."""
    held = Incident.objects.select_for_update().get(pk=incident.pk)
    _refuse_stale(held, version)
    step = states.move(states.INCIDENT_MOVES, verb, held.state)
    if step is None:
        raise ValidationError(
            f"{held.number} is {held.get_state_display().lower()} by now; nothing was changed."
        )
    if not may_move(actor, step):
        raise PermissionDenied(f"{step.label}: the role for this is missing.")
    if step.needs_reason and not reason.strip():
        raise ValidationError({"reason": f"{step.label}: say why."})
    if verb == "close":
        _refuse_close(held)
    _apply(held, step, now)
    words = f"{step.label}: {reason.strip()}" if reason.strip() else step.label
    tone = "good" if step.target in ("monitoring", "resolved", "closed") else "neutral"
    add_entry(
        incident=held, action=f"incident.{verb}", text=words, kind=HUMAN, at=now, tone=tone, actor=actor
    )
    changes = {"state": [step.source, step.target]}
    audit.record(f"incident.{verb}", resource=held, actor=actor, reason=reason, changes=changes)
    held.refresh_from_db()
    return held


def _refuse_stale(held: Incident, version: int | None) -> None:
    """Somebody moved it after the page was drawn: say who and what."""
    if version is None or version == held.version:
        return
    last = held.timeline.exclude(action="incident.note").first()
    what = f" {last.actor_label or 'The portal'}: {last.text}." if last else ""
    raise ValidationError(f"Somebody else was faster.{what} Nothing was changed; look again.")


def _refuse_close(held: Incident) -> None:
    """Closing ends the story: no alert may still be open, and a required post-mortem must be approved."""
    if held.open_alerts:
        raise ValidationError(f"{held.open_alerts} of its alerts are still open.")
    document = getattr(held, "postmortem", None)
    done = document is not None and document.state in (PostMortemState.APPROVED, PostMortemState.PUBLISHED)
    if held.needs_postmortem and not done:
        raise ValidationError("A critical incident needs an approved post-mortem before it is closed.")


def _apply(held: Incident, step: states.Move, now: datetime) -> None:
    """The stamps that go with a state; unset ones on the way are filled, reopening clears what no longer holds."""
    to: dict[str, Any] = {"state": step.target, "version": F("version") + 1}
    if step.target in ("monitoring", "resolved") and held.mitigated_at is None:
        to["mitigated_at"] = now
    if step.target == "resolved":
        to["resolved_at"] = now
    if step.target in ("closed", "declined", "cancelled", "merged"):
        to["closed_at"] = now
    if step.target == "investigating":
        to |= {"resolved_at": None, "mitigated_at": None}
    Incident.objects.filter(pk=held.pk).update(**to)


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
    """Resolve out of any open state, for the verb of alerts that stops paging too. True if this call did it."""
    held = Incident.objects.select_for_update().get(pk=incident.pk)
    if not held.is_open:
        return False
    _refuse_stale(held, version)
    before = held.state
    step = states.move(states.INCIDENT_MOVES, "resolve", before)
    assert step is not None
    if actor is not None and not may_move(actor, step):
        raise PermissionDenied("Resolve: the role for this is missing.")
    _apply(held, step, at)
    add_entry(
        incident=held,
        action="incident.resolve",
        text=f"Resolved by {by} via {via}",
        kind=HUMAN if actor else MACHINE,
        at=at,
        tone="good",
        actor=actor,
    )
    changes = {"state": [before, "resolved"]}
    audit.record(
        "incident.resolve", resource=held, actor=actor, changes=changes, details={"by": by, "via": via}
    )
    incident.refresh_from_db()
    return True


# --- Facts that people correct ------------------------------------------------------------------------------------
@transaction.atomic
def take_command(*, incident: Incident, actor: Any, now: datetime) -> None:
    """This person commands it from now on."""
    before = incident.commander.get_username() if incident.commander else None
    Incident.objects.filter(pk=incident.pk).update(commander=actor, version=F("version") + 1)
    add_entry(
        incident=incident, action="incident.command", text="Took command", kind=HUMAN, at=now, actor=actor
    )
    changes = {"commander": [before, actor.get_username()]}
    audit.record("incident.command", resource=incident, actor=actor, changes=changes)
    incident.refresh_from_db()


@transaction.atomic
def describe(*, incident: Incident, actor: Any, now: datetime, changes: Mapping[str, Any]) -> None:
    """Title, summary and severity as people know better; a change of severity is part of the story."""
    before = audit.snapshot(incident)
    held = Incident.objects.select_for_update().get(pk=incident.pk)
    for name in ("title", "summary", "severity"):
        if name in changes:
            setattr(held, name, changes[name])
    held.version += 1
    held.full_clean(exclude=["commander", "merged_into"])
    held.save(update_fields=["title", "summary", "severity", "version"])
    if before["severity"] != held.severity:
        words = (
            f"Severity changed from {Severity(before['severity']).label} to {Severity(held.severity).label}"
        )
        add_entry(incident=held, action="incident.severity", text=words, kind=HUMAN, at=now, actor=actor)
    differs = audit.changed(before, audit.snapshot(held))
    audit.record("incident.update", resource=held, actor=actor, changes=differs)
    incident.refresh_from_db()


@transaction.atomic
def set_components(*, incident: Incident, components: Iterable[Component], actor: Any, now: datetime) -> None:
    """Which parts are hit."""
    before = sorted(incident.components.values_list("name", flat=True))
    incident.components.set(components)
    after = sorted(incident.components.values_list("name", flat=True))
    if before == after:
        return
    words = f"Components: {', '.join(after) or 'none'}"
    add_entry(incident=incident, action="incident.components", text=words, kind=HUMAN, at=now, actor=actor)
    audit.record(
        "incident.components", resource=incident, actor=actor, changes={"components": [before, after]}
    )


@transaction.atomic
def correct_stamp(
    *, incident: Incident, stamp: str, at: datetime | None, reason: str, actor: Any, now: datetime
) -> None:
    """Set one of the five stamps by hand. They stay in their order, none lies in the future, and it is said why."""
    if stamp not in STAMPS:
        raise ValidationError({"stamp": f"One of {', '.join(STAMPS)}."})
    if not reason.strip():
        raise ValidationError({"reason": "Say why the stamp is changed."})
    held = Incident.objects.select_for_update().get(pk=incident.pk)
    before = getattr(held, stamp)
    setattr(held, stamp, at)
    refuse_disorder(held, now)
    Incident.objects.filter(pk=held.pk).update(**{stamp: at}, version=F("version") + 1)
    label = stamp.removesuffix("_at").capitalize()
    shown = timezone.localtime(at).strftime("%d %b %H:%M %Z") if at else "unset"
    words = f"{label} corrected to {shown}: {reason.strip()}"
    add_entry(incident=held, action="incident.stamp", text=words, kind=HUMAN, at=now, actor=actor)
    changes = audit.plain({stamp: [before, at]})
    audit.record("incident.stamp", resource=held, actor=actor, reason=reason, changes=changes)
    incident.refresh_from_db()


def refuse_disorder(incident: Incident, now: datetime) -> None:
    """Stamps in order: began ≤ detected ≤ acknowledged, mitigated and resolved after it began, none ahead of now."""
    if incident.began_at is None:
        raise ValidationError({"began_at": "An incident has a beginning."})
    known = [(name, getattr(incident, name)) for name in STAMPS if getattr(incident, name) is not None]
    ahead = next((name for name, at in known if at > now), None)
    if ahead:
        raise ValidationError({ahead: "A stamp cannot lie in the future."})
    for (earlier, first), (later, second) in pairwise(known):
        if first > second and {earlier, later} != {"acknowledged_at", "mitigated_at"}:
            words = f"{later.removesuffix('_at')} would lie before {earlier.removesuffix('_at')}."
            raise ValidationError({later: words})
