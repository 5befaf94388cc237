"""Alerts that people give back: an acknowledged one that nobody has after all, a resolved one that was not over.

Either begins a new episode, so that an acknowledgement of the old one is refused.
"""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.alerts import paging, services
from apps.alerts.models import Alert, AlertState
from apps.alerts.services import Act, StaleEpoch
from apps.alerts.suppression import muting, reasons
from apps.audit import services as audit
from apps.incidents import services as incidents


@dataclass(frozen=True)
class _Verb:
    action: str
    was: str
    words: str


_UNACKNOWLEDGE = _Verb("alert.unacknowledge", AlertState.ACKNOWLEDGED, "given back: it pages again")
_REOPEN = _Verb("alert.reopen", AlertState.RESOLVED, "reopened")


@transaction.atomic
def unacknowledge(*, alert: Alert, act: Act, epoch: int | None = None) -> bool:
    """Page again for an alert that somebody had taken. True if this changed it, False if it fires already.

    StaleEpoch when `epoch` is given and another episode runs; ValidationError when it is resolved.
    """
    held = _held(alert, epoch)
    if held.state == AlertState.RESOLVED:
        raise ValidationError({"state": "It is resolved; reopen it instead."})
    if held.state == AlertState.TRIGGERED:
        return False
    _fire_again(held, _UNACKNOWLEDGE, act)
    return True


@transaction.atomic
def reopen(*, alert: Alert, act: Act, epoch: int | None = None) -> bool:
    """Fire again after a resolve that was too early. True if this changed it, False if it is open.

    StaleEpoch when `epoch` is given and another episode ran; ValidationError when another alert is open for its key.
    """
    held = _held(alert, epoch)
    if held.state != AlertState.RESOLVED:
        return False
    try:
        with transaction.atomic():
            _fire_again(held, _REOPEN, act)
    except IntegrityError as taken:  # the database allows one open alert per key
        raise ValidationError(
            {"state": "Another alert is open for the same key; work on that one."}
        ) from taken
    return True


def _held(alert: Alert, epoch: int | None) -> Alert:
    held = reasons.locked([alert.pk])[alert.pk]
    if epoch is not None and epoch != held.epoch:
        raise StaleEpoch({"epoch": f"Triggered again since: this is episode {held.epoch}, not {epoch}."})
    return held


def _fire_again(held: Alert, verb: _Verb, act: Act) -> None:
    held.state, held.epoch, held.triggered_at = AlertState.TRIGGERED, held.epoch + 1, act.at
    held.acked_at, held.acked_by, held.acked_via = None, "", ""
    held.resolved_at, held.resolved_by, held.resolved_via = None, "", ""
    held.save()
    audit.record(
        verb.action,
        resource=held,
        actor=act.actor,
        details={"via": act.via, "by": act.by, "epoch": held.epoch},
    )
    _tell(held, verb, act)
    muting.evaluate_one(alert=held, now=act.at)
    if held.policy is not None:
        paging.start_escalation(alert=held, policy=held.policy, now=act.at)


def _tell(alert: Alert, verb: _Verb, act: Act) -> None:
    services.recount(incident=alert.incident)
    if alert.incident is not None:
        incidents.add_entry(
            incident=alert.incident, action=verb.action, text=f"Alert {verb.words} by {act.by}: {alert.title}",
            kind="human" if act.actor else "machine", at=act.at, tone="bad", actor=act.actor,
            data={"alert": alert.pk, "epoch": alert.epoch},
        )  # fmt: skip
