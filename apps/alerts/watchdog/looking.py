"""The watchdog at work: looks at the database, reports by mail and webhook of its own, gives the outgoing sign of life.

It needs neither Celery nor the outbox, because those are what it watches. Any number of processes may look: what
must happen once is claimed by conditional UPDATE of the one row, and a claim that died is free again after a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min, Q

from apps.alerts.models import Escalation, Page, PageState, Watchdog
from apps.alerts.watchdog import judging, telling
from apps.core.models import TickRun

log = structlog.get_logger("portal.watchdog")
_LEASE_S = 60


@dataclass(frozen=True)
class Look:
    """What one look found and did."""

    wrong: list[str]
    reported: bool = False
    pinged: bool = False


def look(*, now: datetime, since: datetime | None = None) -> Look:
    """Look once. `now` is the database's clock; `since` is when a process that looks all the time began to."""
    seen = figures(now)
    watching = _remember(now, since)
    wrong = judging.wrong(seen, watching, now)
    Watchdog.objects.filter(pk=1).update(looked_at=now, wrong="\n".join(wrong))
    reported = _report(wrong, now) if wrong else _all_clear(now)
    return Look(wrong, reported, not wrong and _ping(seen, now))


def figures(now: datetime) -> judging.Seen:
    """What waits, and when the ticks last succeeded."""
    free = Q(state=PageState.PENDING) | Q(state=PageState.CLAIMED, lease_until__lt=now)
    succeeded = dict(
        TickRun.objects.filter(name__in=("alerts.escalate", "alerts.deliver", "alerts.watch"))
        .values_list("name")
        .annotate(at=Min("succeeded_at"))
    )
    return judging.Seen(
        Escalation.objects.due(now).aggregate(at=Min("next_at"))["at"],
        Page.objects.filter(free, next_try_at__lte=now).aggregate(at=Min("next_try_at"))["at"],
        succeeded.get("alerts.escalate"),
        succeeded.get("alerts.deliver"),
        succeeded.get("alerts.watch"),
    )


@transaction.atomic
def _remember(now: datetime, since: datetime | None) -> datetime:
    """From when on somebody has watched; this process no earlier than from its own start."""
    Watchdog.objects.bulk_create([Watchdog(pk=1)], ignore_conflicts=True)
    row = Watchdog.objects.select_for_update().get(pk=1)
    watching = judging.watching_since(row.looked_at, row.watching_since, now)
    Watchdog.objects.filter(pk=1).update(watching_since=watching)
    return max(watching, since) if since else watching


def _due(at: str, lease: str, every_s: int, now: datetime) -> bool:
    """Take the turn at something that is due once in `every_s` seconds."""
    late = Q(**{at: None}) | Q(**{f"{at}__lte": now - timedelta(seconds=every_s)})
    free = Q(**{lease: None}) | Q(**{f"{lease}__lte": now})
    held = Watchdog.objects.filter(late, free, pk=1)
    return bool(held.update(**{lease: now + timedelta(seconds=_LEASE_S)}))


def _report(wrong: list[str], now: datetime) -> bool:
    if not telling.ways() or not _due("reported_at", "report_lease", judging.REPORT_EVERY_S, now):
        return False
    log.error("the pager is not working", wrong=wrong)
    failures = telling.tell("The pager is not working", wrong)
    done = len(failures) < telling.ways()
    told = {"reported_at": now} if done else {}
    Watchdog.objects.filter(pk=1).update(report_lease=None, report_failure=" ".join(failures)[:300], **told)
    if done:
        Watchdog.objects.filter(pk=1, alarmed_at=None).update(alarmed_at=now)
    return done


def _all_clear(now: datetime) -> bool:
    """One word that it works again, to those who were told that it did not."""
    if not Watchdog.objects.filter(pk=1, alarmed_at__isnull=False).update(alarmed_at=None):
        return False
    return len(telling.tell("The pager works again", ["Escalations and pages are on time."])) < telling.ways()


def _ping(seen: judging.Seen, now: datetime) -> bool:
    """The outgoing sign of life: its absence is what somebody else notices."""
    row = Watchdog.objects.get(pk=1)
    if not settings.DEADMAN_URL or not judging.progressed(seen, row.pinged_at, now):
        return False
    if not _due("pinged_at", "ping_lease", judging.PING_EVERY_S, now):
        return False
    failure = telling.ping()
    changes = {} if failure else {"pinged_at": now}
    Watchdog.objects.filter(pk=1).update(ping_lease=None, ping_failure=failure[:300], **changes)
    return not failure


def stand_guard(clock: Callable[[], datetime], wait: Callable[[float], bool], every_s: float = 15) -> None:
    """Look again and again until `wait` says stop. A database that does not answer is told by this process itself."""
    began: datetime | None = None
    silence = telling.Silence()
    while not wait(every_s):
        try:
            now = clock()
            began = began or now
            look(now=now, since=began)
            silence.over()
        except Exception as error:  # the edge of one look: the guard stands whatever happened to this one
            log.warning("watchdog cannot look", error=f"{type(error).__name__}: {error}")
            silence.goes_on(error)
        finally:
            connection.close()  # between looks the connection is somebody else's
