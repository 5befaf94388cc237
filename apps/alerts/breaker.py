"""When to leave a provider alone: a breaker for each lane, shared by all processes through the database.

A lane is what fails together: a kind of channel, and the one channel where it has a server of its own. Five failures
of the provider within a minute open it; then one page at a time probes it, after waits that double. Whatever a single
address did wrong (a wrong number, a closed mailbox) says nothing about the lane.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.alerts import delivery
from apps.alerts.models import Breaker, Page
from apps.audit import services as audit
from apps.audit.models import Category, Outcome

FAILURES, WITHIN_S = 5, 60
PROBE_AFTER_S, PROBE_AT_MOST_S = 15, 300
_FAILED = """
INSERT INTO alerts_breaker (lane, failures, failing_since, last_failure, opens, probing)
VALUES (%s, 1, %s, %s, 0, false)
ON CONFLICT (lane) DO UPDATE SET last_failure = excluded.last_failure,
  failures = CASE WHEN alerts_breaker.failing_since < %s AND alerts_breaker.opened_at IS NULL
             THEN 1 ELSE alerts_breaker.failures + 1 END,
  failing_since = CASE WHEN alerts_breaker.failing_since < %s AND alerts_breaker.opened_at IS NULL
                  THEN excluded.failing_since ELSE alerts_breaker.failing_since END
RETURNING failures
"""
_OPENED = """
UPDATE alerts_breaker SET opened_at = coalesce(opened_at, %(now)s), opens = opens + 1,
  probe_at = %(now)s + least(%(first)s * power(2, opens), %(most)s) * interval '1 second'
WHERE lane = %(lane)s AND failures >= %(failures)s AND (opened_at IS NULL OR probing)
RETURNING opens
"""


def lane_of(page: Page) -> str:
    """Such as email, sms or slack:4."""
    return f"{page.kind}:{page.channel_id}" if page.channel_id else str(page.kind)


def troubled() -> dict[str, Breaker]:
    """Lanes that failed lately: most of the time none."""
    return {one.lane: one for one in Breaker.objects.exclude(failures=0)}


def shut_until(lane: str, known: Mapping[str, Breaker], now: datetime) -> datetime | None:
    """Until when nothing goes by this lane; None: it may. Whoever asks first at the time of a probe is the probe."""
    held = known.get(lane)
    if held is None or held.opened_at is None or held.probe_at is None:
        return None
    if held.probe_at > now:
        return held.probe_at
    next_probe = now + timedelta(seconds=delivery.LEASE_S)
    won = Breaker.objects.filter(lane=lane, opened_at__isnull=False, probe_at__lte=now).update(
        probe_at=next_probe, probing=True
    )
    return None if won else next_probe


@transaction.atomic
def failed(lane: str, error: str, *, now: datetime) -> None:
    """Count a failure of the provider; the fifth within a minute, or a failed probe, opens the lane."""
    since = now - timedelta(seconds=WITHIN_S)
    waits = {"failures": FAILURES, "first": PROBE_AFTER_S, "most": PROBE_AT_MOST_S}
    values: dict[str, Any] = {"now": now, "lane": lane, **waits}
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [lane, now, error[:300], since, since])
        cursor.execute(_OPENED, values)
        opened = cursor.fetchone()
    if opened is None:
        return
    Breaker.objects.filter(lane=lane).update(probing=False)
    if opened[0] == 1:
        _record(lane, "channel.breaker_opened", Outcome.ERROR, error)


def worked(lane: str, known: Mapping[str, Breaker]) -> None:
    """A page went by: the lane is well."""
    held = known.get(lane)
    if held is None:
        return
    closed = Breaker.objects.filter(lane=lane, failures__gt=0).update(
        failures=0, opens=0, opened_at=None, probe_at=None, probing=False
    )
    if closed and held.opened_at is not None:
        _record(lane, "channel.breaker_closed", Outcome.SUCCESS, "")


def _record(lane: str, action: str, outcome: Outcome, error: str) -> None:
    breaker = Breaker.objects.get(lane=lane)
    audit.record(
        action, resource=breaker, category=Category.SYSTEM, outcome=outcome, details={"error": error}
    )
