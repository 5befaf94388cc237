"""Due runs with what a step needs of their alerts, read by the thousand.

Plain rows and not models: a model object takes more time to make than everything else that is done with it here.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

from django.db import connection

from apps.alerts import acks
from apps.projects.models import Component, Project


@dataclass(slots=True)
class Run:
    """An escalation, named as the model's columns."""

    pk: int
    epoch: int
    cycle: int
    step: int
    version: int
    policy_name: str


@dataclass(slots=True)
class Paged:
    """An alert that is paged, named as the model's columns."""

    pk: int
    epoch: int
    dedup_key: str
    title: str
    sentence: str
    severity: str
    project_id: int
    component_id: int | None
    incident_id: int | None
    policy_id: int | None
    triggered_at: datetime
    is_drill: bool
    project: Project | None = None
    component: Component | None = None


@dataclass(slots=True)
class Due:
    """A run that is due, its alert, its plan as stored text, and who acknowledged already."""

    plan: str
    run: Run
    alert: Paged
    given: Collection[int] = ()


_RUN = [field.name for field in fields(Run)]
_PAGED = [field.name for field in fields(Paged)][:-2]
_COLUMNS = ", ".join([f"e.{name}" for name in _RUN] + [f"a.{name}" for name in _PAGED]).replace(".pk", ".id")
# Without the moment at which it was made, the plan of a policy is the same text for all its runs.
_DUE = f"""
SELECT CASE jsonb_typeof(e.plan) WHEN 'object' THEN e.plan - 'made_at' ELSE e.plan END::text, {_COLUMNS}
FROM alerts_escalation e JOIN alerts_alert a ON a.id = e.alert_id
WHERE e.state = 'active' AND e.next_at <= %s ORDER BY e.next_at LIMIT %s FOR NO KEY UPDATE OF e SKIP LOCKED
"""  # noqa: S608 - names of our own columns


def read(now: datetime, size: int) -> list[Due]:
    """Up to `size` runs that are due, locked; what many alerts share is read once."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [now, size])
        split = 1 + len(_RUN)
        due = [Due(row[0], Run(*row[1:split]), Paged(*row[split:])) for row in cursor.fetchall()]
    projects = Project.objects.in_bulk({one.alert.project_id for one in due})
    components = Component.objects.in_bulk({one.alert.component_id for one in due if one.alert.component_id})
    acknowledged = acks.given(one.alert.pk for one in due)
    for one in due:
        one.given = acknowledged.get((one.alert.pk, one.run.epoch), ())
        one.alert.project = projects[one.alert.project_id]
        one.alert.component = components.get(one.alert.component_id or 0)
    return due
