"""Stand-in: the smallest version of what alerts calls; the real one is written elsewhere."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from apps.audit import services as audit
from apps.incidents import states
from apps.incidents.models import Incident, TimelineEntry
from apps.projects.models import Component, Project


@transaction.atomic
def open_incident(
    *, title: str, project: Project, severity: str, components: Iterable[Component] = (), began_at: datetime,
    detected_at: datetime | None = None, summary: str = "", opened_by: str = "", actor: Any = None,
    page_nobody: bool = False, now: datetime,
) -> Incident:  # fmt: skip
    """An incident in triage with its first machine entry."""
    incident = Incident.objects.create(
        title=title[:200], project=project, severity=severity, began_at=began_at, detected_at=detected_at,
        summary=summary, opened_by=opened_by, page_nobody=page_nobody, created_at=now,
    )  # fmt: skip
    incident.components.set(components)
    add_entry(incident=incident, action="incident.open", text=f"Opened: {title}", at=now, actor=actor)
    audit.record("incident.open", resource=incident, actor=actor)
    return incident


@transaction.atomic
def add_entry(
    *, incident: Incident, action: str, text: str, kind: str = "machine", at: datetime, tone: str = "neutral",
    actor: Any = None, data: dict[str, Any] | None = None,
) -> TimelineEntry:  # fmt: skip
    """One line of the timeline."""
    label = actor.get_username() if actor else ""
    return TimelineEntry.objects.create(
        incident=incident, at=at, kind=kind, action=action, text=text, tone=tone, actor=actor, actor_label=label,
        data=data or {},
    )  # fmt: skip


@transaction.atomic
def acknowledge(*, incident: Incident, by: str, at: datetime, actor: Any = None, via: str = "admin") -> bool:
    """Stamp once."""
    first = Incident.objects.filter(pk=incident.pk, acknowledged_at=None).update(
        acknowledged_at=at, acknowledged_by=by, version=F("version") + 1
    )
    if first:
        add_entry(incident=incident, action="incident.acknowledge", text=f"Acknowledged by {by} via {via}", at=at,
                  actor=actor, kind="human" if actor else "machine")  # fmt: skip
        audit.record("incident.acknowledge", resource=incident, actor=actor)
    return bool(first)


@transaction.atomic
def move(
    *, incident: Incident, verb: str, actor: Any, version: int | None = None, reason: str = "", now: datetime
) -> Incident:
    """A legal transition."""
    legal = states.move(states.INCIDENT_MOVES, verb, incident.state)
    if legal is None:
        raise ValidationError(f"{verb} is not possible from {incident.state}.")
    Incident.objects.filter(pk=incident.pk).update(state=legal.target, version=F("version") + 1)
    add_entry(incident=incident, action=f"incident.{verb}", text=legal.label, at=now, actor=actor)
    incident.refresh_from_db()
    return incident


@transaction.atomic
def mark_resolved(*, incident: Incident, by: str, at: datetime, actor: Any = None, via: str) -> bool:
    """Out of any open state."""
    done = Incident.objects.filter(pk=incident.pk, state__in=states.INCIDENT_OPEN).update(
        state="resolved", resolved_at=at, version=F("version") + 1
    )
    if done:
        add_entry(incident=incident, action="incident.resolve", text=f"Resolved by {by} via {via}", at=at, actor=actor)
        audit.record("incident.resolve", resource=incident, actor=actor)
    return bool(done)


def count_alerts(*, incident: Incident, open_alerts: int) -> None:
    """How many alerts of it are open."""
    Incident.objects.filter(pk=incident.pk).update(open_alerts=open_alerts)
