"""Sending: pages are claimed and recorded here, on the tick's own thread; only the talking to providers is spread."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.db.models import Min

from apps.alerts import breaker, channels, contacts, delivery, outbox
from apps.alerts.channels import Receipt
from apps.alerts.models import Breaker, Page, PageState
from apps.core.secret_fields import SecretUnreadable
from apps.core.ticks import TickReport

log = structlog.get_logger("portal.alerts")
# In flight at once. After an acknowledgement at most these may still go out, each within its own time limit.
THREADS, THREADS_A_LANE = 8, 5
REFILL_S = 1.0
BUDGET_S = 12
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
    """Try what is due. Stops claiming after BUDGET_S, so that the tick ends before its lease does."""
    work = Round(Clock(now), limit)
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        while work.goes_on():
            while (parcel := work.next_parcel()) is not None:
                told = contacts.message(parcel.page, parcel.others)
                work.flying[pool.submit(_send, told, *_secret(parcel.page))] = parcel
            work.collect()
    return _report(work.states, work.clock.now())


@dataclass(frozen=True)
class Parcel:
    """A claimed page, and those that go in its message."""

    page: Page
    others: Sequence[Page]
    started_at: datetime


class Round:
    """The work of one tick. What is due is asked for again and again, so that a page made meanwhile need not wait
    for a provider that hangs; and no lane may take all threads."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self.clock, self._left = clock, limit
        self.flying: dict[Future[Receipt], Parcel] = {}
        self.states: list[str] = []
        self._waiting: list[outbox.Due] = []
        self._asked_s = -REFILL_S
        self._known: dict[str, Breaker] = {}

    def goes_on(self) -> bool:
        """Until nothing is due and nothing in the air; afterwards what is in the air is only waited for."""
        if self.clock.elapsed_s() > BUDGET_S or self._left <= 0:
            self._waiting = []
            return bool(self.flying)
        if not self._waiting or self.clock.elapsed_s() - self._asked_s >= REFILL_S:
            self._asked_s = self.clock.elapsed_s()
            self._waiting = outbox.due(now=self.clock.now(), limit=self._left)
            self._known = breaker.troubled()
        return bool(self._waiting or self.flying)

    def next_parcel(self) -> Parcel | None:
        """What is claimed next; None if there is nothing, or no thread for it."""
        while len(self.flying) < THREADS and self._left > 0:
            busy = Counter(breaker.lane_of(parcel.page) for parcel in self.flying.values())
            found = next((one for one in self._waiting if busy[one.lane] < THREADS_A_LANE), None)
            if found is None:
                return None
            self._waiting.remove(found)
            parcel = self._claimed(found)
            if parcel is not None:
                return parcel
        return None

    def _claimed(self, one: outbox.Due) -> Parcel | None:
        now = self.clock.now()
        shut = breaker.shut_until(one.lane, self._known, now) if now < one.deadline else None
        if shut is not None:
            outbox.put_off(one.pk, until=shut, now=now)
            return None
        course = contacts.course_of(one.pk, now=now)
        if course.wait_until is not None:
            contacts.hold(one.pk, until=course.wait_until)
            return None
        self._left -= 1
        page = outbox.claim(one.pk, now=now)
        return Parcel(page, contacts.claim_others(page, course, now=now), now) if page else None

    def collect(self) -> None:
        """Record what came back, within REFILL_S."""
        if not self.flying:
            return
        done, _ = wait(self.flying, timeout=REFILL_S, return_when=FIRST_COMPLETED)
        for future in done:
            parcel = self.flying.pop(future)
            receipt, now = future.result(), self.clock.now()
            for page in (parcel.page, *parcel.others):
                state = outbox.record_result(page, receipt, started_at=parcel.started_at, now=now)
                self.states.append(state)
            self._judge(breaker.lane_of(parcel.page), receipt, now)

    def _judge(self, lane: str, receipt: Receipt, now: datetime) -> None:
        if receipt.outcome in (delivery.TRANSIENT, delivery.AMBIGUOUS):
            breaker.failed(lane, receipt.error, now=now)
        elif receipt.outcome == delivery.SENT and lane in self._known:
            breaker.worked(lane, self._known)
        else:
            return
        self._known = breaker.troubled()


def deliver_one(page: Page, *, now: datetime) -> str:
    """Try one page now, for the test of a channel; its state afterwards."""
    clock = Clock(now)
    claimed = outbox.claim(page.pk, now=now)
    if claimed is None:
        return PageState.CLAIMED
    receipt = _send(claimed, *_secret(claimed))
    return outbox.record_result(claimed, receipt, started_at=now, now=clock.now())


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
