"""Acknowledgements that end by themselves: after the policy's time, or when a snooze is over. The alert fires anew.

Due is the column returns_at, which acknowledging sets and every other change of state makes void.
"""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.alerts import messages, outbox, planning, services
from apps.alerts.escalation import Target
from apps.alerts.models import Alert, AlertState
from apps.alerts.services import Act
from apps.alerts.suppression import returning
from apps.audit import services as audit

LONGEST_SNOOZE = timedelta(days=7)
EXPIRED, SNOOZE_OVER = "acknowledgement expired", "end of snooze"


@transaction.atomic
def snooze(*, alert: Alert, until: datetime, act: Act, epoch: int | None = None) -> None:
    """Acknowledge until then: the alert fires again if it is not resolved by that time.

    ValidationError names `until` when it is not within the next seven days, `state` when the alert is resolved;
    StaleEpoch when it was triggered again since.
    """
    if not act.at < until <= act.at + LONGEST_SNOOZE:
        raise ValidationError({"until": "Choose a time within the next seven days."})
    services.acknowledge(alert=alert, act=act, epoch=epoch)
    taken = Alert.objects.filter(pk=alert.pk, state=AlertState.ACKNOWLEDGED)
    if not taken.update(returns_at=until, snoozed=True, acked_user=services.user_of(act)):
        raise ValidationError({"state": "It is resolved: there is nothing to snooze."})
    audit.record("alert.snooze", resource=alert, actor=act.actor, details={"until": until, "via": act.via})


def return_due(*, now: datetime, limit: int = 500) -> int:
    """Fire again what is due; how many did. Each alert in a transaction of its own, so that a change by somebody at the
    same moment is seen."""
    due = Alert.objects.filter(state=AlertState.ACKNOWLEDGED, returns_at__lte=now).order_by("returns_at")
    return sum(_return(pk, now) for pk in due.values_list("pk", flat=True)[:limit])


@transaction.atomic
def _return(pk: int, now: datetime) -> bool:
    still = Alert.objects.filter(pk=pk, state=AlertState.ACKNOWLEDGED, returns_at__lte=now)
    held = still.select_for_update(no_key=True, skip_locked=True).first()
    if held is None:
        return False
    why = SNOOZE_OVER if held.snoozed else EXPIRED
    changed = returning.unacknowledge(alert=held, act=Act(by=why, at=now, via="system"))
    if changed and held.acked_user_id:
        _tell(held, why, now)
    return changed


def _tell(alert: Alert, why: str, now: datetime) -> None:
    """The person who had it hears that it is theirs no longer; whoever is on call is paged by the new episode."""
    person = planning.people_facts([alert.acked_user_id or 0]).get(alert.acked_user_id or 0)
    if person is None or not person.active or not person.methods:
        return
    way = person.methods[0]
    target = Target(way.kind, way.address, person.label, person.user_id, None, way.id)
    key = outbox.key_of("returned", alert.pk, alert.epoch, way.kind, way.address)
    outbox.notice(key=key, target=target, told=messages.returned(alert, why), now=now, alert=alert)
