"""What the pages of incidents read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.core import panels
from apps.incidents import durations
from apps.incidents.models import Incident, TimelineEntry
from apps.projects.models import Component

TIMELINE_SHOWN = 300
NOT_REAL = ("declined", "merged", "cancelled")
FILTERS = {"people": "human", "machine": "machine"}
# Goals in words beside a running stamp: check within 5 min, mitigate within 15 (rows N3 of the catalogue).
GOAL_MIN = {"acknowledged_at": 5, "mitigated_at": 15}


@dataclass(frozen=True)
class Stamp:
    """One of the five: state is done, running, missing or to_come; a running one counts from `since`."""

    name: str
    label: str
    at: datetime | None
    note: str
    state: str
    since: datetime | None = None


@dataclass(frozen=True)
class Affected:
    """A component that is hit and those that depend on it."""

    component: Component
    dependants: list[Component]


@dataclass
class IncidentPage:
    """Everything on an incident's page that the row itself does not say."""

    stamps: list[Stamp]
    timeline: list[TimelineEntry]
    timeline_filter: str
    affected: list[Affected]
    panels: list[panels.Panel]
    postmortem: Any


def incident_page(*, incident: Incident, shown: str, now: datetime) -> IncidentPage:
    """The page; `shown` is all, people or machine."""
    entries = incident.timeline.all()
    if shown in FILTERS:
        entries = entries.filter(kind=FILTERS[shown])
    components = incident.components.prefetch_related("dependants").order_by("name")
    return IncidentPage(
        stamps=stamps(incident, now),
        timeline=list(entries[:TIMELINE_SHOWN]),
        timeline_filter=shown if shown in FILTERS else "all",
        affected=[Affected(c, list(c.dependants.all())) for c in components],
        panels=panels.of("incidents.Incident", "side", incident),
        postmortem=getattr(incident, "postmortem", None),
    )


def stamps(incident: Incident, now: datetime) -> list[Stamp]:
    """The five stamps in order; the first unset one of an open incident is running."""
    took = durations.of(incident)
    notes = {
        "began_at": "from the first failure",
        "detected_at": _after(took.to_detect),
        "acknowledged_at": _after(took.to_acknowledge, incident.acknowledged_by),
        "mitigated_at": _after(took.to_mitigate),
        "resolved_at": _after(took.to_restore),
    }
    found: list[Stamp] = []
    running, before = incident.is_open, incident.began_at
    for name, note in notes.items():
        at = getattr(incident, name)
        label = name.removesuffix("_at").capitalize()
        if at is not None:
            found.append(Stamp(name, label, at, note, "done"))
            before = at
        elif running:
            goal = f", goal {GOAL_MIN[name]} min" if name in GOAL_MIN else ""
            found.append(Stamp(name, label, None, f"running{goal}", "running", before))
            running = False
        else:
            found.append(Stamp(name, label, None, "not yet" if incident.is_open else "not set",
                               "to_come" if incident.is_open else "missing"))  # fmt: skip
    return found


def _after(took: Any, by: str = "") -> str:
    words = f"+{durations.in_words(took)}" if took is not None else ""
    return f"{words}, by {by}" if by else words


def stats(incidents: QuerySet[Incident]) -> dict[str, durations.Summary]:
    """MTTD, MTTA, MTTM and MTTR of incidents that were real: declined, merged and cancelled ones are left out."""
    real = [durations.of(i) for i in incidents.exclude(state__in=NOT_REAL).only(*durations.STAMPS)]
    return {
        "mttd": durations.summarise(d.to_detect for d in real),
        "mtta": durations.summarise(d.to_acknowledge for d in real),
        "mttm": durations.summarise(d.to_mitigate for d in real),
        "mttr": durations.summarise(d.to_restore for d in real),
    }
