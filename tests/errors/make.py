"""Events as the drain hands them to the store."""

import hashlib
from datetime import UTC, datetime, timedelta

from apps.core.severity import RecordSeverity
from apps.errors.new_event import NewEvent
from apps.projects.models import Project
from apps.projects.services import create_project

NOW = datetime.now(UTC).replace(microsecond=0)


def make_project(name: str = "Shop") -> Project:
    return create_project(name=name)


def make_event(project: Project | int, number: int = 0, **facts) -> NewEvent:
    """One event; `number` gives its id, `kind` its group, `who` its user, `age_s` how long ago it happened."""
    kind, who, age_s = facts.pop("kind", "KeyError"), facts.pop("who", ""), facts.pop("age_s", 0)
    return NewEvent(
        **{
            "event_id": f"{number:032x}",
            "project_id": project if isinstance(project, int) else project.pk,
            "occurred_at": NOW - timedelta(seconds=age_s),
            "received_at": NOW,
            "time_is_usable": True,
            "error_type": "Server Error",
            "exception_type": kind,
            "message": f"{kind} came up",
            "severity": RecordSeverity.MAJOR,
            "level": "error",
            "component_name": "Journal",
            "fingerprint": hashlib.sha256(kind.encode()).hexdigest(),
            "title": f"{kind}: came up",
            "user_hash": hashlib.sha256(who.encode()).digest() if who else None,
            **facts,
        }
    )
