"""What follows from the outcome of one try to deliver a page. Pure: the clock and the dice are handed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

SENT, TRANSIENT, AMBIGUOUS, PERMANENT, BAD_MESSAGE = (
    "sent",
    "transient",
    "ambiguous",
    "permanent",
    "bad_message",
)
LEASE_S = 60
# A channel's whole try must end well inside the lease, or a second worker would send the same page.
SEND_TIMEOUT_S = 10
BASE_S, CAP_PAGE_S, CAP_NOTICE_S = 2, 60, 300
RETRY_AFTER_MAX_S = 900
MIN_LIFE_S, NOTICE_LIFE_S = 300, 3600
FAILOVER_AFTER_S = 60


@dataclass(frozen=True)
class Tried:
    """A page just tried: which try it was, its times, whether it pages (else a notice) and was plain text already."""

    attempts: int
    created_at: datetime
    deadline: datetime
    pages: bool = True
    plain: bool = False


@dataclass(frozen=True)
class Next:
    """The page's next state; `fail_over`: begin with the person's next way now; `broken`: mark the channel."""

    state: str
    next_try_at: datetime
    fail_over: bool = False
    broken: bool = False
    plain: bool = False


def outcome_of_status(status: int) -> str:
    """The class of an HTTP answer. A redirect is refused: a hook that moved is set anew by people."""
    if 200 <= status < 300:
        return SENT
    if status in (408, 425, 429) or status >= 500:
        return TRANSIENT
    return PERMANENT if status in (401, 403, 404, 410) or 300 <= status < 400 else BAD_MESSAGE


def after(outcome: str, tried: Tried, retry_after_s: int | None, now: datetime, roll: float) -> Next:
    """What to do next. `roll` in [0, 1) spreads retries. The deadline ends retries, never the first try."""
    if outcome == SENT:
        return Next("sent", now)
    if outcome == PERMANENT:
        return Next("failed", now, fail_over=True, broken=True)
    if outcome == BAD_MESSAGE:
        return Next("failed", now, fail_over=True) if tried.plain else Next("pending", now, plain=True)
    if now >= tried.deadline:
        return Next("failed", now, fail_over=True)
    wait = timedelta(seconds=wait_s(tried, retry_after_s, roll))
    late = tried.pages and now - tried.created_at > timedelta(seconds=FAILOVER_AFTER_S)
    # One last try exactly at the deadline, instead of giving up before it.
    return Next("pending", min(now + wait, max(now, tried.deadline)), fail_over=late)


def wait_s(tried: Tried, retry_after_s: int | None, roll: float) -> float:
    """Full jitter under a doubling cap; a larger Retry-After wins, within 1 to 900 seconds."""
    cap = CAP_PAGE_S if tried.pages else CAP_NOTICE_S
    backoff: float = roll * min(cap, BASE_S << min(tried.attempts, 12))
    asked = min(max(retry_after_s, 1), RETRY_AFTER_MAX_S) if retry_after_s is not None else 0
    return max(backoff, asked, 0.5)


def page_deadline(now: datetime, next_step_at: datetime) -> datetime:
    """Until when a page is retried: the next step's time, at least five minutes."""
    return max(next_step_at, now + timedelta(seconds=MIN_LIFE_S))
