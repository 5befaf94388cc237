"""Plain makers for the tests of suppression."""

from apps.alerts.models import AlertSuppression, Escalation, Suppression
from apps.alerts.suppression import services as suppressions

from .make import NOW, make_user


def make_silence(matchers='{component="Payments"}', now=NOW, **facts):
    actor = facts.pop("actor", None) or make_user("bob")
    facts = {"kind": "silence", "reason": "We know.", "starts_at": now, **facts}
    return suppressions.create(row=Suppression(matchers=matchers, **facts), now=now, actor=actor)


def kinds_of(alert):
    return sorted(AlertSuppression.objects.filter(alert=alert, lifted_at=None).values_list("kind", flat=True))


def run_of(alert):
    return Escalation.objects.get(alert=alert, epoch=type(alert).objects.get(pk=alert.pk).epoch)
