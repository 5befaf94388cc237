"""What the tick does for suppression: windows begin and end, bundles get a new first alert, flapping ends."""

from datetime import datetime

from django.db import transaction

from apps.alerts import services
from apps.alerts.models import AlertState, AlertSuppression
from apps.alerts.suppression import bundles, flapping, muting, reasons


def keep(*, now: datetime) -> int:
    """Safe to run twice, late or never; the number of reasons that came or went."""
    changed = muting.evaluate(now=now) + bundles.release(now=now)
    for row in flapping.stable(now=now):
        changed += _end_flapping(row, now)
    flapping.forget_old_cycles(now=now)
    return changed


@transaction.atomic
def _end_flapping(row: AlertSuppression, now: datetime) -> bool:
    """It fires on and pages again, or the resolve that was held back is carried out."""
    alert = reasons.locked([row.alert_id]).get(row.alert_id)
    fresh = flapping.flapping_row(row.alert)
    if alert is None or fresh is None:
        return False
    if fresh.quiet_since is not None and alert.state != AlertState.RESOLVED:
        act = services.Act(by="the portal, quiet again", at=now, via=flapping.STABLE)
        told = flapping.end(fresh, now=now)
        services.resolve(alert=alert, act=act)
        return told
    return flapping.end(fresh, now=now)
