"""Whether a request with a right key may come in: its limit before its body is read, the rest once it is split.

What is refused here is counted by project and type, so that nothing disappears uncounted.
"""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from apps.ingest import inbox, limits
from apps.ingest.envelope import Item
from apps.ingest.keys import KeyFacts
from apps.ingest.limits import Throttled
from apps.ingest.quotas import COUNTED_TYPES, Quota
from apps.ingest.tally import tally

RATE_LIMITED, OVER_QUOTA = "rate_limited", "over_quota"
REFUSED = {RATE_LIMITED: "faster than a key's limit", OVER_QUOTA: "over a quota"}
# A quota may be raised before it resets, and senders who were told to wait for weeks would not notice.
LONGEST_WAIT_S = 3600
_CATEGORIES = ("error", "transaction")  # the SDKs' words for COUNTED_TYPES


class OverQuota(Throttled):
    """429: the project, or the installation, has used up its quota of events."""

    def __init__(self, quota: Quota, now: datetime) -> None:
        said = f"{quota.label}: the quota of {quota.limit:,} is used up until {quota.resets_at:%Y-%m-%d %H:%M} UTC"
        wait = math.ceil((quota.resets_at - now).total_seconds())
        super().__init__(OVER_QUOTA, said, min(max(wait, 1), LONGEST_WAIT_S), _CATEGORIES, quota.scope)


def enter(facts: KeyFacts, kind: str) -> None:
    """Before the body is read: one token. Raises RateLimited."""
    now = timezone.now()
    tally.used(facts.key_id, now.date())
    try:
        limits.take(facts.key_id, 1, facts.rate_per_minute)
    except Throttled:
        _count(facts, Counter({kind: 1}), RATE_LIMITED, now)
        raise


def enter_items(facts: KeyFacts, items: Sequence[Item], *, taken: int) -> None:
    """After the split: a token for each event, one at least; `taken` were taken before. Raises Throttled."""
    events = 0
    for item in items:
        if item.type in COUNTED_TYPES:
            events += 1
    if facts.spent is None and events <= 1 == taken:  # nearly always
        return
    _charge(facts, Counter(item.type for item in items), events, taken)


def enter_events(facts: KeyFacts, events: int, kind: str = "event") -> None:
    """For bodies that hold so many events and nothing else, after `enter`. Raises Throttled."""
    if facts.spent is not None or events > 1:
        _charge(facts, Counter({kind: events}), events, 1)


def _charge(facts: KeyFacts, items: Counter[str], events: int, taken: int) -> None:
    now = timezone.now()
    if events and facts.spent is not None and now < facts.spent.resets_at:
        _count(facts, items, OVER_QUOTA, now)
        raise OverQuota(facts.spent, now)
    rest = max(events, 1) - taken
    if rest <= 0:
        return
    try:
        limits.take(facts.key_id, rest, facts.rate_per_minute)
    except Throttled:
        _count(facts, items, RATE_LIMITED, now)
        raise


def _count(facts: KeyFacts, items: Counter[str], outcome: str, now: datetime) -> None:
    tally.refused(facts.project_id, items, outcome, now.date())
    inbox.attend()
