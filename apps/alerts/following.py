"""Alerts keep in step with incidents that people opened, took or ended by other doors.

The incidents room cannot call up: what happened there is found here, on the next watch tick.
"""

from datetime import datetime

from apps.alerts import services
from apps.alerts.models import Alert, AlertState, EscalationPolicy
from apps.alerts.services import Act, Fired
from apps.incidents import states
from apps.incidents.models import Incident


def follow_incidents(*, now: datetime) -> int:
    """Alerts of an incident that was taken or ended elsewhere follow it; number of alerts that changed.

    Each in a transaction of its own: together they would lock an incident before the next one's alerts.
    """
    taken = Alert.objects.filter(state=AlertState.TRIGGERED, incident__state__in=states.INCIDENT_OPEN)
    taken = taken.filter(incident__acknowledged_at__isnull=False)
    ended = (
        Alert.objects.open().filter(incident__isnull=False).exclude(incident__state__in=states.INCIDENT_OPEN)
    )
    changed = 0
    for pk, state in ended.values_list("pk", "incident__state"):
        act = Act(by=f"incident {state}", at=now, via="incident")
        changed += services.resolve(alert=Alert(pk=pk), act=act)
    for alert in taken.select_related("incident"):
        incident = alert.incident
        if incident and incident.acknowledged_at and alert.triggered_at <= incident.acknowledged_at:
            act = Act(by=incident.acknowledged_by or "incident", at=now, via="incident")
            changed += services.acknowledge(alert=alert, act=act)
    return changed


def adopt_incidents(*, policy: EscalationPolicy | None, now: datetime) -> int:
    """Incidents that people opened by hand get an alert, unless they asked to page nobody."""
    by_hand = Incident.objects.filter(
        state="triage", page_nobody=False, acknowledged_at=None, alerts=None, backfilled=False
    ).select_related("project")
    found = list(by_hand.prefetch_related("components"))
    for incident in found:
        fired = Fired(
            key=f"incident:{incident.pk}", title=incident.title, severity=incident.severity,
            project=incident.project, component=next(iter(incident.components.all()), None),
            policy=policy, incident=incident,
            sentence=incident.summary or f"Opened by {incident.opened_by or 'hand'}.",
            first_seen_at=incident.began_at,
        )  # fmt: skip
        services.trigger(fired=fired, now=now)
    return len(found)
