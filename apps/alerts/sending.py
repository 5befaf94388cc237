"""Sending: pages are claimed and recorded here, on the tick's own thread; only the talking to providers is spread."""

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.db.models import Min

from apps.alerts import channels, delivery, outbox
from apps.alerts.channels import Receipt
from apps.alerts.models import Page, PageState
from apps.core.secret_fields import SecretUnreadable
from apps.core.ticks import TickReport

log = structlog.get_logger("portal.alerts")
# In flight at once. After an acknowledgement at most these may still go out, each within its own time limit.
THREADS = 8
BUDGET_S = 20
LIMIT = 500


@dataclass
class Clock:
    """The database's time when the tick began, moved on by a clock that no host can set."""

    origin: datetime
    begun: float = field(default_factory=monotonic)

    def elapsed_s(self) -> float:
        """Seconds since the tick began."""
        return monotonic() - self.begun

    def now(self) -> datetime:
        """The time as of this moment."""
        return self.origin + timedelta(seconds=self.elapsed_s())


def deliver_due(*, now: datetime, limit: int = LIMIT) -> TickReport:
    """Try each due page once. Stops claiming after BUDGET_S, so that the tick ends before its lease does."""
    clock = Clock(now)
    waiting = deque(outbox.due_ids(now=now, limit=limit))
    flying: dict[Future[Receipt], tuple[Page, datetime]] = {}
    states: list[str] = []
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        while waiting or flying:
            while waiting and len(flying) < THREADS:
                if clock.elapsed_s() > BUDGET_S:
                    waiting.clear()
                    break
                page = outbox.claim(waiting.popleft(), now=clock.now())
                if page is not None:
                    flying[pool.submit(_send, page, *_secret(page))] = (page, clock.now())
            states += _collect(flying, clock)
    return _report(states, clock.now())


def deliver_one(page: Page, *, now: datetime) -> str:
    """Try one page now, for the test of a channel; its state afterwards."""
    clock = Clock(now)
    claimed = outbox.claim(page.pk, now=now)
    if claimed is None:
        return PageState.CLAIMED
    receipt = _send(claimed, *_secret(claimed))
    return outbox.record_result(claimed, receipt, started_at=now, now=clock.now())


def _collect(flying: dict[Future[Receipt], tuple[Page, datetime]], clock: Clock) -> list[str]:
    if not flying:
        return []
    done, _ = wait(flying, return_when=FIRST_COMPLETED)
    states = []
    for future in done:
        page, started_at = flying.pop(future)
        states.append(outbox.record_result(page, future.result(), started_at=started_at, now=clock.now()))
    return states


def _secret(page: Page) -> tuple[str, str]:
    """The channel's plain secret for this one try, and why it cannot be read."""
    if page.channel is None:
        return "", ""
    try:
        return page.channel.open_secret(), ""
    except SecretUnreadable as error:
        return "", str(error)


def _send(page: Page, secret: str, unreadable: str) -> Receipt:
    sender = channels.registry.get(page.kind)
    if unreadable or sender is None:
        return Receipt(delivery.PERMANENT, unreadable or f"No channel of kind {page.kind} is known here.")
    try:
        return sender.send(page, secret)
    except (
        Exception
    ) as error:  # the edge of one send: a fault in a channel's code must not stop the other pages
        log.exception("channel failed", kind=page.kind, page=page.pk)
        return Receipt(delivery.AMBIGUOUS, f"{type(error).__name__} in channel {page.kind}")


def _report(states: list[str], now: datetime) -> TickReport:
    left = Page.objects.filter(state__in=(PageState.PENDING, PageState.CLAIMED), next_try_at__lte=now)
    oldest = left.aggregate(at=Min("next_try_at"))["at"]
    said = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "nothing due"
    return TickReport(said, left[:10_000].count() if oldest else 0, oldest)
