"""Alerts that come and go: after N ways from firing to resolved within W they stop paging until they were quiet for Q.

One notice when it begins, one when it ends. Meanwhile what the source resolves stays open, since its next firing is
near; what people resolve is resolved.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from apps.alerts import messages, outbox
from apps.alerts.escalation import Target
from apps.alerts.models import Alert, AlertCycle, AlertSuppression, Page, PageState
from apps.alerts.suppression import reasons
from apps.alerts.suppression.reasons import Kind, Reason

KEPT = timedelta(days=1)
STABLE = "stable"
"""The door by which a resolve comes that was held back: it is not held back again, and has its own notice."""


def flapping_row(alert: Alert) -> AlertSuppression | None:
    """The reason, if the alert flaps now."""
    return reasons.in_force().filter(alert=alert, kind=Kind.FLAPPING).first()


def holds_back(alert: Alert, *, now: datetime) -> bool:
    """A source resolves this locked alert: count it, and say whether the resolve is held back."""
    row = flapping_row(alert)
    if row is not None and row.quiet_since is not None:
        return True
    AlertCycle.objects.create(dedup_key=alert.dedup_key, at=now)
    if row is None:
        if _cycles(alert, now) < settings.FLAP_CYCLES:
            return False
        row = _begin(alert, now)
    AlertSuppression.objects.filter(pk=row.pk).update(quiet_since=now, changed_at=now)
    return True


def _cycles(alert: Alert, now: datetime) -> int:
    since = now - timedelta(seconds=settings.FLAP_WINDOW_S)
    return AlertCycle.objects.filter(dedup_key=alert.dedup_key, at__gt=since).count()


def _begin(alert: Alert, now: datetime) -> AlertSuppression:
    text = (
        f"{settings.FLAP_CYCLES} times resolved within {_minutes(settings.FLAP_WINDOW_S)}; pages again when it has "
        f"been stable for {_minutes(settings.FLAP_QUIET_S)}"
    )
    reasons.put(reasons=[Reason(alert.pk, Kind.FLAPPING, text, "the portal")], now=now)
    row = reasons.in_force().get(alert=alert, kind=Kind.FLAPPING)
    _notify(alert, row, messages.flapping(alert, text), "flapping", now)
    return row


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def fires_again(alert: Alert, *, now: datetime) -> None:
    """A source says that this alert fires: a resolve that is held back is no longer due."""
    rows = reasons.in_force().filter(alert=alert, kind=Kind.FLAPPING, quiet_since__isnull=False)
    rows.update(quiet_since=None, changed_at=now)


def stable(*, now: datetime) -> list[AlertSuppression]:
    """Reasons of alerts that have not changed for the quiet time, in the alerts' order."""
    since = now - timedelta(seconds=settings.FLAP_QUIET_S)
    rows = reasons.in_force().filter(kind=Kind.FLAPPING, changed_at__lte=since)
    return list(rows.select_related("alert__project", "alert__component").order_by("alert_id"))


def end(row: AlertSuppression, *, now: datetime) -> bool:
    """Lift the reason of an alert that the caller locked, with one notice; False if it changed meanwhile."""
    since = now - timedelta(seconds=settings.FLAP_QUIET_S)
    same = AlertSuppression.objects.filter(pk=row.pk, changed_at__lte=since)
    if not reasons.lift(rows=same, now=now):
        return False
    _notify(row.alert, row, messages.stable(row.alert, firing=row.quiet_since is None), "stable", now)
    return True


def _notify(alert: Alert, row: AlertSuppression, told: messages.Told, word: str, now: datetime) -> None:
    """To everybody who was paged for this key within the window or since it flaps."""
    since = min(row.since, now) - timedelta(seconds=settings.FLAP_WINDOW_S)
    pages: Any = Page.objects.filter(
        alert__dedup_key=alert.dedup_key, escalation__isnull=False, created_at__gte=since,
        state__in=(PageState.SENT, PageState.DELIVERED),
    )  # fmt: skip
    for page in pages.distinct("kind", "address").order_by("kind", "address"):
        target = Target(
            page.kind, page.address, page.target_label, page.user_id, page.channel_id, page.contact_method_id
        )
        key = outbox.key_of(word, row.pk, page.kind, page.address)
        outbox.notice(key=key, target=target, told=told, now=now, alert=alert)


def forget_old_cycles(*, now: datetime) -> None:
    """What no window reaches any more."""
    AlertCycle.objects.filter(at__lt=now - max(KEPT, timedelta(seconds=settings.FLAP_WINDOW_S))).delete()
