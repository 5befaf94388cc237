"""What people correct on an incident: who commands it, its words and severity, its components, its stamps."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.audit import services as audit
from apps.core.severity import Severity, severity_of
from apps.incidents import durations, states
from apps.incidents.models import Incident
from apps.incidents.services import HUMAN, MAX_REASON, add_entry, locked, refuse_stale, refuse_strangers
from apps.projects.models import Component

WORDS = ("title", "summary", "severity")


@transaction.atomic
def take_command(*, incident: Incident, actor: Any, now: datetime) -> bool:
    """This person commands it from now on. False when they did already."""
    held = locked(incident)
    before = held.commander.get_username() if held.commander else None
    changed = (
        Incident.objects.filter(pk=held.pk)
        .exclude(commander=actor)
        .update(commander=actor, version=F("version") + 1)
    )
    incident.refresh_from_db()
    if not changed:
        return False
    add_entry(
        incident=incident, action="incident.command", text="Took command", kind=HUMAN, at=now, actor=actor,
        data={"version": incident.version},
    )  # fmt: skip
    changes = {"commander": [before, actor.get_username()]}
    audit.record("incident.command", resource=incident, actor=actor, changes=changes)
    return True


def refuse_rating(*, incident: Incident, severity: str, actor: Any) -> None:
    """Who may not resolve a loud incident may not make it a quiet one either. ValidationError names the field."""
    rated = severity_of(severity)
    if rated is None:
        raise ValidationError({"severity": f"Unknown. Known: {', '.join(Severity.values)}."})
    if not actor.has_perm(states.permission_to_rate(incident.severity, rated)):
        was = Severity(incident.severity).label.lower()
        raise ValidationError(
            {"severity": f"Lowering it from {was} is the commander's or an administrator's."}
        )


@transaction.atomic
def describe(
    *, incident: Incident, actor: Any, now: datetime, changes: Mapping[str, Any], version: int | None = None
) -> None:
    """Title, summary and severity as people know better; a stale `version` is told who came first."""
    held = locked(incident)
    refuse_stale(held, version)
    before = audit.snapshot(held)
    if "severity" in changes:
        refuse_rating(incident=held, severity=changes["severity"], actor=actor)
    for name in WORDS:
        if name in changes:
            setattr(held, name, changes[name])
    held.full_clean(exclude=["project", "commander", "merged_into"])
    differs = audit.changed(before, audit.snapshot(held))
    if differs:
        held.version += 1
        held.save(update_fields=[*WORDS, "version"])
        add_entry(
            incident=held, action="incident.describe", text=_said(differs), kind=HUMAN, at=now, actor=actor,
            data={"version": held.version},
        )  # fmt: skip
        audit.record("incident.update", resource=held, actor=actor, changes=differs)
    incident.refresh_from_db()


def _said(differs: Mapping[str, list[Any]]) -> str:
    """The change in words; what a severity was belongs to the story, an old title is in the audit log."""
    words = [f"{name.capitalize()} changed" for name in ("title", "summary") if name in differs]
    if "severity" in differs:
        old, new = (Severity(value).label for value in differs["severity"])
        words.insert(0, f"Severity changed from {old} to {new}")
    return "; ".join(words)


@transaction.atomic
def change_severity(
    *, incident: Incident, severity: str, actor: Any, now: datetime, version: int | None = None
) -> None:
    """How loud it is, by name or alias."""
    rated = severity_of(severity)
    changes = {"severity": severity if rated is None else rated}
    describe(incident=incident, actor=actor, now=now, changes=changes, version=version)


@transaction.atomic
def set_components(*, incident: Incident, components: Iterable[Component], actor: Any, now: datetime) -> None:
    """Which parts are hit."""
    held, hit = locked(incident), list(components)
    refuse_strangers(held.project, hit)
    before = sorted(held.components.values_list("name", flat=True))
    after = sorted(c.name for c in hit)
    if before == after:
        return
    held.components.set(hit)
    words = f"Components: {', '.join(after) or 'none'}"
    add_entry(incident=held, action="incident.components", text=words, kind=HUMAN, at=now, actor=actor)
    audit.record("incident.components", resource=held, actor=actor, changes={"components": [before, after]})


@transaction.atomic
def correct_stamp(
    *, incident: Incident, stamp: str, at: datetime | None, reason: str, actor: Any, now: datetime
) -> None:
    """Set one of the five stamps by hand, or unset it. They stay in their order, none lies in the future, and it is
    said why."""
    if stamp not in durations.STAMPS:
        raise ValidationError({"stamp": f"One of {', '.join(durations.STAMPS)}."})
    said = reason.strip()
    if not said or len(said) > MAX_REASON:
        raise ValidationError(
            {"reason": f"Say why the stamp is changed, in at most {MAX_REASON:,} characters."}
        )
    held = locked(incident)
    before = getattr(held, stamp)
    refuse_disorder(held, stamp, at, now)
    Incident.objects.filter(pk=held.pk, version=held.version).update(**{stamp: at}, version=F("version") + 1)
    incident.refresh_from_db()
    shown = timezone.localtime(at).strftime("%d %b %H:%M:%S %Z") if at else "unset"
    add_entry(
        incident=incident, action="incident.stamp", text=f"{_label(stamp)} corrected to {shown}: {said}", kind=HUMAN,
        at=now, actor=actor, data={"version": incident.version, "stamp": stamp},
    )  # fmt: skip
    changes = audit.plain({stamp: [before, at]})
    audit.record("incident.stamp", resource=incident, actor=actor, reason=said, changes=changes)


def _label(stamp: str) -> str:
    return stamp.removesuffix("_at").capitalize()


def refuse_disorder(held: Incident, stamp: str, at: datetime | None, now: datetime) -> None:
    """Began always stands; resolved stands while, and only while, the incident is over; all in order, none ahead."""
    if at is None and stamp == "began_at":
        raise ValidationError({"at": "An incident has a beginning."})
    if stamp == "resolved_at" and (held.state in ("resolved", "closed")) != (at is not None):
        raise ValidationError(
            {"at": "Resolved follows from the state: resolve or reopen the incident instead."}
        )
    if at is not None and at > now:
        raise ValidationError({"at": "A stamp cannot lie in the future."})
    stamps = {name: getattr(held, name) for name in durations.STAMPS} | {stamp: at}
    found = durations.disorder(stamps)
    if found:
        earlier, later = found
        raise ValidationError({"at": f"{_label(later)} would lie before {_label(earlier).lower()}."})
    if at is not None and held.closed_at is not None and at > held.closed_at:
        raise ValidationError({"at": "It was closed before that."})
