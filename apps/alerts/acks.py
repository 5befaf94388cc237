"""Acknowledgement by everybody: a step may ask it of all whom it paged.

Such an alert goes on firing until the last of them has acknowledged; who has is not paged again in this episode.
Whoever acts without being a person (a source, a token, a rule) acknowledges for all.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model

from apps.alerts import escalation
from apps.alerts.models import Alert, AlertAck, Escalation, Page, PageState
from apps.core.bulk import fetched

# One parameter for thousands of alerts, where an IN has one for each.
_GIVEN = "SELECT alert_id, epoch, user_id FROM alerts_alertack WHERE alert_id = ANY(%s::bigint[])"


def add(alert: Alert, user: Any, *, via: str, at: datetime) -> list[str]:
    """Count a person's word on a locked alert; the names of those whose word is still needed."""
    asked = required_of(alert)
    if not asked:
        return []
    ack = AlertAck(alert=alert, epoch=alert.epoch, user=user, at=at, via=via[:16])
    AlertAck.objects.bulk_create([ack], ignore_conflicts=True)
    Page.objects.filter(alert=alert, user=user, escalation__isnull=False, state=PageState.PENDING).update(
        state=PageState.CANCELLED
    )
    given = set(AlertAck.objects.filter(alert=alert, epoch=alert.epoch).values_list("user", flat=True))
    users = get_user_model().objects.filter(pk__in=asked - given, is_active=True).order_by("pk")
    return [one.get_full_name() or one.get_username() for one in users]


def required_of(alert: Alert) -> set[int]:
    """People whom steps paged that ask all of them. A page that failed or waits no more asks nothing of anybody."""
    run = Escalation.objects.filter(alert=alert, epoch=alert.epoch).first()
    try:
        made = escalation.plan_of(run.plan) if run else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return set()  # the walk sets such a run aside; an acknowledgement must still work
    steps = [n for n, step in enumerate(made.steps) if step.require_all] if made else []
    if not steps:
        return set()
    asked = Page.objects.filter(escalation=run, step__in=steps, user__isnull=False).exclude(
        state__in=(PageState.FAILED, PageState.CANCELLED)
    )
    given = AlertAck.objects.filter(alert=alert, epoch=alert.epoch).values_list("user", flat=True)
    return {*asked.values_list("user", flat=True), *given} if asked.exists() else set()


def given(alert_ids: Iterable[int]) -> dict[tuple[int, int], set[int]]:
    """Who acknowledged, by (alert, epoch)."""
    found: dict[tuple[int, int], set[int]] = defaultdict(set)
    for alert, epoch, user in fetched(_GIVEN, [list(alert_ids)]):
        found[alert, epoch].add(user)
    return found
