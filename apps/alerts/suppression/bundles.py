"""Alerts under another alert: storms of one component, bundled by the portal, and what people or rules merge.

The first page is never hidden: an alert goes under another only if that one fires, pages by the same policy, is not
held back itself and is at least as severe. When it ends, the next in its bundle takes its place and pages.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from apps.alerts.models import Alert, AlertState, AlertSuppression
from apps.alerts.suppression import reasons
from apps.alerts.suppression.reasons import Kind, Reason
from apps.core.severity import RANK, Severity

UNDER = (Kind.PARENT, Kind.STORM)


def _rank(alert: Alert) -> int:
    return RANK[Severity(alert.severity)]


# --- Storms -------------------------------------------------------------------------------------------------
def bundle(*, alert: Alert, now: datetime) -> Alert | None:
    """Put a new alert, locked by the caller, under the first of a storm of its component; that one, or None."""
    if alert.component_id is None or alert.policy_id is None or alert.suppressed:
        return None
    since = now - timedelta(seconds=settings.STORM_WINDOW_S)
    near = Alert.objects.filter(component=alert.component_id, triggered_at__gt=since).exclude(pk=alert.pk)
    if near[: settings.STORM_ALERTS].count() < settings.STORM_ALERTS:
        return None
    paging = Alert.objects.filter(
        component=alert.component_id, policy=alert.policy_id, state=AlertState.TRIGGERED, suppressed=False
    )
    for first in paging.exclude(pk=alert.pk).order_by("triggered_at", "pk")[:50]:
        if _rank(first) <= _rank(alert):
            reasons.put(reasons=[_storm(alert, first)], now=now)
            alert.suppressed = True
            return first
    return None


def _storm(alert: Alert, first: Alert) -> Reason:
    text = f"Storm: more than {settings.STORM_ALERTS} alerts of {first.component}; bundled under “{first.title[:60]}”"
    return Reason(alert.pk, Kind.STORM, text, "the portal", parent_id=first.pk)


def take_out(*, alert: Alert, now: datetime) -> None:
    """An alert that grew more severe pages for itself, whatever storm it was bundled in."""
    if reasons.lift(rows=reasons.in_force().filter(alert=alert, kind=Kind.STORM), now=now):
        alert.suppressed = reasons.in_force().filter(alert=alert).exists()


# --- Merging ------------------------------------------------------------------------------------------------
@transaction.atomic
def merge(*, alert: Alert, parent: Alert, now: datetime, actor: Any) -> None:
    """Put an open alert under another: it stops paging, and the other's acknowledgement takes it along.

    ValidationError: itself, one that is over, one that is below this alert or that does not page for being under a
    third.
    """
    held = reasons.locked({alert.pk, parent.pk})
    _check_merge(held[alert.pk], held[parent.pk])
    old = reasons.in_force().filter(alert=alert, kind=Kind.PARENT, slot=0)
    reasons.lift(rows=old, now=now, actor=actor)
    text = f"Merged under “{parent.title[:80]}”"
    one = Reason(
        alert.pk, Kind.PARENT, text, actor.get_username() if actor else "the portal", parent_id=parent.pk
    )
    reasons.put(reasons=[one], now=now, actor=actor)


def _check_merge(alert: Alert, parent: Alert) -> None:
    if alert.pk == parent.pk:
        raise ValidationError({"parent": "An alert cannot be merged under itself."})
    for one in (alert, parent):
        if one.state == AlertState.RESOLVED:
            raise ValidationError({"parent": f"“{one.title}” is resolved; only open alerts are merged."})
    if reasons.in_force().filter(alert=parent, kind__in=UNDER).exists():
        raise ValidationError({"parent": f"“{parent.title}” is itself under another alert; choose that one."})
    if reasons.in_force().filter(parent=alert, kind__in=UNDER).exists():
        raise ValidationError({"parent": f"Other alerts are under “{alert.title}”; take them out first."})


@transaction.atomic
def unmerge(*, alert: Alert, now: datetime, actor: Any) -> bool:
    """Let an alert page for itself again; False if nobody had merged it."""
    rows = reasons.in_force().filter(alert=alert, kind__in=UNDER, slot=0)
    return reasons.lift(rows=rows, now=now, actor=actor) > 0


def children_of(alert_ids: Iterable[int]) -> list[int]:
    """Alerts under these: what an acknowledgement takes along."""
    rows = reasons.in_force().filter(parent__in=list(alert_ids), kind__in=UNDER)
    return list(rows.values_list("alert_id", flat=True))


# --- When the first one ends --------------------------------------------------------------------------------
def release(*, now: datetime) -> int:
    """Bundles whose first alert is over, or in a storm is itself held back: the next one takes its place; the number
    of alerts that page again."""
    over = Q(parent=None) | Q(parent__state=AlertState.RESOLVED)
    merged = reasons.in_force().filter(over, kind=Kind.PARENT, slot=0)
    released = reasons.lift(rows=merged, now=now)
    orphans: dict[int | None, list[AlertSuppression]] = defaultdict(list)
    lost = Q(parent=None) | ~Q(parent__state=AlertState.TRIGGERED) | Q(parent__suppressed=True)
    for row in reasons.in_force().filter(lost, kind=Kind.STORM).select_related("alert__component"):
        orphans[row.parent_id].append(row)
    for rows in orphans.values():
        released += _promote(rows, now)
    return released


@transaction.atomic
def _promote(rows: list[AlertSuppression], now: datetime) -> int:
    """The most severe and then oldest that still fires, and that nothing else holds back, becomes the first."""
    others = reasons.in_force().exclude(kind=Kind.STORM).filter(alert__in=[row.alert_id for row in rows])
    held_back = set(others.values_list("alert_id", flat=True))
    firing = [r for r in rows if r.alert.state == AlertState.TRIGGERED and r.alert_id not in held_back]
    if not firing:
        return 0
    first = min(firing, key=lambda row: (_rank(row.alert), row.alert.triggered_at, row.alert_id))
    lifted = reasons.lift(rows=AlertSuppression.objects.filter(pk=first.pk), now=now)
    if lifted:
        rest = [row.pk for row in rows if row.pk != first.pk]
        reason = _storm(first.alert, first.alert).reason
        reasons.in_force().filter(pk__in=rest).update(parent=first.alert_id, reason=reason)
    return lifted
