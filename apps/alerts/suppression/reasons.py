"""Reasons beside an alert: put there, lifted, and what that does to its paging.

A reason pauses the running escalation and stops claims; when the last one lifts on an open alert, the run goes on
where it stood, at once if its time has passed. Lock order: alert, escalation, page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.alerts.models import (
    Alert,
    AlertState,
    AlertSuppression,
    Suppression,
)
from apps.alerts.paging import pause_escalations, resume_escalations
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.ticks import wake
from apps.incidents import services as incidents

Kind = AlertSuppression.Kind


@dataclass(frozen=True)
class Reason:
    """A reason that should be in force for an alert."""

    alert_id: int
    kind: str
    reason: str
    by: str
    slot: int = 0
    suppression_id: int | None = None
    parent_id: int | None = None
    until: datetime | None = None

    @property
    def key(self) -> tuple[int, str, int]:
        """What the database holds once while it is in force."""
        return self.alert_id, self.kind, self.slot


def in_force() -> QuerySet[AlertSuppression]:
    """All reasons that are not lifted."""
    return AlertSuppression.objects.filter(lifted_at=None)


def locked(alert_ids: Iterable[int]) -> dict[int, Alert]:
    """These alerts, locked in key order; every change of reasons happens under this lock."""
    rows = Alert.objects.filter(pk__in=list(alert_ids)).order_by("pk").select_for_update(no_key=True)
    return {alert.pk: alert for alert in rows}


@transaction.atomic
def put(*, reasons: Iterable[Reason], now: datetime, actor: Any = None) -> int:
    """Add reasons that are not there yet, to alerts that are open; how many were added."""
    wanted = {one.key: one for one in reasons}
    alerts = locked({one.alert_id for one in wanted.values()})
    held = set(in_force().filter(alert__in=alerts).values_list("alert_id", "kind", "slot"))
    fresh = [
        one for key, one in wanted.items()
        if key not in held and one.alert_id in alerts and alerts[one.alert_id].state != AlertState.RESOLVED
    ]  # fmt: skip
    AlertSuppression.objects.bulk_create([_row(one, now) for one in fresh])
    for one in fresh:
        _tell(
            alerts[one.alert_id],
            "alert.suppress",
            f"Does not page: {one.reason} ({one.by})",
            one.kind,
            now,
            actor,
        )
    _settle([alerts[pk] for pk in {one.alert_id for one in fresh}], now)
    return len(fresh)


def _row(one: Reason, now: datetime) -> AlertSuppression:
    return AlertSuppression(
        alert_id=one.alert_id, kind=one.kind, slot=one.slot, suppression_id=one.suppression_id,
        parent_id=one.parent_id, reason=one.reason[:400], by=one.by[:150], since=now, until=one.until,
        changed_at=now if one.kind == Kind.FLAPPING else None,
    )  # fmt: skip


@transaction.atomic
def lift(*, rows: QuerySet[AlertSuppression], now: datetime, actor: Any = None) -> int:
    """End these reasons; how many. Paging goes on where no other is left."""
    alerts = locked(rows.values_list("alert_id", flat=True))
    ending = list(rows.filter(alert__in=alerts, lifted_at=None))
    AlertSuppression.objects.filter(pk__in=[row.pk for row in ending], lifted_at=None).update(lifted_at=now)
    for row in ending:
        text = f"No longer {row.get_kind_display().lower()}: {row.reason}"
        _tell(alerts[row.alert_id], "alert.unsuppress", text, row.kind, now, actor)
    _settle([alerts[pk] for pk in {row.alert_id for row in ending}], now)
    return len(ending)


def _tell(alert: Alert, action: str, text: str, kind: str, now: datetime, actor: Any) -> None:
    audit.record(
        action, resource=alert, category=Category.SYSTEM, actor=actor, details={"kind": kind, "text": text}
    )
    if alert.incident_id and alert.incident is not None:
        incidents.add_entry(
            incident=alert.incident, action=action, text=f"{text}: {alert.title}", at=now, actor=actor,
            kind="human" if actor else "machine", data={"alert": alert.pk, "kind": kind},
        )  # fmt: skip


# --- What it does to paging ---------------------------------------------------------------------------------
def _settle(alerts: list[Alert], now: datetime) -> None:
    """Bring these locked alerts' column, and the runs of those that still fire, in line with their reasons."""
    ids = [alert.pk for alert in alerts]
    muted = set(in_force().filter(alert__in=ids).values_list("alert_id", flat=True))
    Alert.objects.filter(pk__in=muted).update(suppressed=True)
    free = [pk for pk in ids if pk not in muted]
    Alert.objects.filter(pk__in=free).update(suppressed=False)
    for alert in alerts:
        alert.suppressed = alert.pk in muted
    pause_escalations(muted)
    resume_escalations(free, now=now)


def ended(alert_ids: Iterable[int], *, now: datetime) -> None:
    """These locked alerts were resolved: their reasons end with them."""
    ids = list(alert_ids)
    rows = in_force().filter(alert__in=ids)
    written = set(rows.exclude(suppression=None).values_list("suppression_id", flat=True))
    rows.update(lifted_at=now)
    Alert.objects.filter(pk__in=ids).update(suppressed=False)
    _end_what_lasts_until_resolved(written, now)
    if in_force().filter(parent__in=ids).exists():
        wake("alerts.watch")  # releases what they held, without waiting for its turn


def _end_what_lasts_until_resolved(written: set[int], now: datetime) -> None:
    over = Suppression.objects.alive().filter(pk__in=written, until_resolved=True)
    still = in_force().exclude(suppression=None).values("suppression")
    for one in over.exclude(pk__in=still).select_for_update():
        one.ended_at, one.ended_by = now, "the last alert was resolved"
        one.save(update_fields=["ended_at", "ended_by"])
        audit.record(
            "suppression.end",
            resource=one,
            category=Category.SYSTEM,
            details={"why": "its last alert was resolved"},
        )
