"""What somebody answered to a page by SMS: `ack`, `ack 41`, `ack 41-2`, `ack all`; STOP and START."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.alerts import services
from apps.alerts.models import Alert, AlertState, ContactMethod, Page
from apps.alerts.services import Act
from apps.audit import services as audit
from apps.audit.models import Category

# The words that networks know; Twilio itself sends nothing to who said one of the first.
STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
START = frozenset({"start", "yes", "unstop"})
RECENT = timedelta(hours=24)
_ACK = re.compile(r"ack(?:nowledge)?\s*(?:(all)|#?(\d{1,18})(?:-(\d{1,9}))?)?[.!\s]*", re.ASCII)
HELP = "Reply ACK and the number of a page, such as ACK 41-2, or ACK ALL."
MAY = "alerts.acknowledge_alert"


@dataclass(frozen=True)
class Asked:
    """Which alert is meant: by number, or all, or whatever is the only one."""

    every: bool = False
    alert: int | None = None
    epoch: int | None = None


def read(text: str) -> Asked | None:
    """None for what is no acknowledgement."""
    found = _ACK.fullmatch(text.strip().lower()[:200])
    if found is None:
        return None
    every, alert, epoch = found.groups()
    return Asked(bool(every), int(alert) if alert else None, int(epoch) if epoch else None)


def answer(*, number: str, text: str, now: datetime) -> str:
    """Do what was asked, and the words to reply. Only from a verified number; others learn nothing."""
    method = ContactMethod.objects.filter(kind="sms", address=number, verified_at__isnull=False).first()
    if method is None:
        return "This number is not known here."
    word = text.strip().lower()
    if word in STOP | START:
        _switch(method, on=word in START)
        return "" if word in STOP else "Pages come to this number again."
    asked = read(text)
    if asked is None:
        return HELP
    if not method.user.is_active or not method.user.has_perm(MAY):
        return "You may not acknowledge here."
    return _acknowledge(method, asked, now)


@transaction.atomic
def _switch(method: ContactMethod, *, on: bool) -> None:
    if ContactMethod.objects.filter(pk=method.pk, enabled=not on).update(enabled=on):
        said = "START" if on else "STOP"
        audit.record("contact.switched", resource=method, category=Category.CONFIG, actor=method.user,
                     details={"said": said})  # fmt: skip


def _acknowledge(method: ContactMethod, asked: Asked, now: datetime) -> str:
    alerts = _meant(method, asked, now)
    if not alerts:
        return "Nothing that was paged to you is firing."
    if len(alerts) > 1 and not asked.every:
        named = ", ".join(f"ACK {alert.pk}-{alert.epoch}" for alert in alerts[:5])
        return f"{len(alerts)} are firing. Reply ACK ALL, or one of: {named}"
    act = Act(
        by=method.user.get_full_name() or method.user.get_username(), at=now, via="sms", actor=method.user
    )
    return " ".join(_one(alert, asked, act) for alert in alerts[:10])


def _one(alert: Alert, asked: Asked, act: Act) -> str:
    try:
        changed = services.acknowledge(alert=alert, act=act, epoch=asked.epoch or alert.epoch)
    except services.StaleEpoch:
        return f"{alert.pk} fired again since that page. Look: it is a new one."
    except ValidationError as refusal:
        return str(refusal.messages[0])
    return f"Acknowledged {alert.pk}: {alert.title[:60]}" if changed else f"{alert.pk} was taken already."


def _meant(method: ContactMethod, asked: Asked, now: datetime) -> list[Any]:
    """Alerts that were paged to this person lately; by number also those that are taken already."""
    paged = Page.objects.filter(user=method.user, escalation__isnull=False, created_at__gt=now - RECENT)
    alerts = Alert.objects.filter(pk__in=paged.values("alert"))
    if asked.alert is not None:
        return list(alerts.filter(pk=asked.alert).exclude(state=AlertState.RESOLVED))
    return list(alerts.filter(state=AlertState.TRIGGERED).order_by("-triggered_at")[:50])
