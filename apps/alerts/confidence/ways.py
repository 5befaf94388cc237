"""Whether a person can really be reached: what is known of each of their ways. Pure but for the reading at the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Max

from apps.alerts.models import ContactMethod, Page, PageState
from apps.alerts.planning import personal_kinds

OK, STALE, UNVERIFIED, FAILING, NONE, GONE = "ok", "stale", "unverified", "failing", "none", "gone"
# The first is the best. The last four are no way to rely on at night.
ORDER = (OK, STALE, UNVERIFIED, FAILING, NONE, GONE)
WORDS = {
    OK: "Verified and tested", STALE: "Not tested lately", UNVERIFIED: "Never verified", FAILING: "Failed last time",
    NONE: "No way at all", GONE: "No longer active",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One address. `id` None: the account's own e-mail address, used where there is no other. `tested_at`: the last
    message that went out by it."""

    id: int | None
    kind: str
    address: str
    verified_at: datetime | None = None
    tested_at: datetime | None = None
    failed_at: datetime | None = None

    def state(self, now: datetime, fresh: timedelta) -> str:
        """Failing counts more than verified: what did not work last time will not at night."""
        if self.failed_at and (self.tested_at is None or self.failed_at > self.tested_at):
            return FAILING
        if self.verified_at is None:
            return UNVERIFIED
        last = max(filter(None, (self.tested_at, self.verified_at)))
        return OK if now - last <= fresh else STALE


@dataclass(frozen=True)
class Person:
    """Somebody who may be paged, with their ways in their own order."""

    id: int
    name: str
    active: bool
    ways: tuple[Way, ...]

    def state(self, now: datetime, fresh: timedelta) -> str:
        """Of the best way."""
        if not self.active:
            return GONE
        return min((way.state(now, fresh) for way in self.ways), key=ORDER.index, default=NONE)


def is_bad(state: str) -> bool:
    """Whether it is red: not to be relied on. Not tested lately is a warning only."""
    return state not in (OK, STALE)


def fresh() -> timedelta:
    """For how long a test counts."""
    return timedelta(days=settings.CONTACT_TEST_DAYS)


def people(user_ids: Iterable[int]) -> dict[int, Person]:
    """By id, in three statements however many they are; an id without a user is left out."""
    users = get_user_model().objects.in_bulk(list(set(user_ids)))
    ways: dict[int, list[Way]] = defaultdict(list)
    tested = _tested(users)
    enabled = ContactMethod.objects.filter(user__in=users, enabled=True, kind__in=personal_kinds())
    for m in enabled.order_by("order", "id"):
        last = tested.get((m.user_id, m.kind, m.address))
        ways[m.user_id].append(Way(m.pk, m.kind, m.address, m.verified_at, last, m.last_failed_at))
    for pk, user in users.items():
        if not ways[pk] and user.email:
            ways[pk] = [Way(None, "email", user.email, None, tested.get((pk, "email", user.email)))]
    return {
        pk: Person(pk, user.get_full_name() or user.get_username(), user.is_active, tuple(ways[pk]))
        for pk, user in users.items()
    }


def _tested(users: Mapping[int, object]) -> dict[tuple[int, str, str], datetime]:
    sent = Page.objects.filter(user__in=list(users), state__in=(PageState.SENT, PageState.DELIVERED))
    rows = sent.order_by().values_list("user", "kind", "address").annotate(at=Max("sent_at"))
    return {(user, kind, address): at for user, kind, address, at in rows}
