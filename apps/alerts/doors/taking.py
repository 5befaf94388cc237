"""What a sender said becomes alerts: each event in a transaction of its own, replays without effect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import connection, transaction

from apps.alerts import services
from apps.alerts.doors import occurrences
from apps.alerts.doors.events import ACKNOWLEDGE, RESOLVE, TRIGGER, Event
from apps.alerts.doors.keys import digest_of
from apps.alerts.models import Alert, AlertState, EscalationPolicy, Integration, Occurrence
from apps.alerts.services import Act, Fired
from apps.core.severity import RANK, Severity, severity_of
from apps.incidents import services as incidents
from apps.incidents.models import Incident
from apps.projects.models import Component

# A door holds a sender and one of the threads that answer: rather 503, and the sender comes again.
STATEMENT_MS, LOCK_MS = 10_000, 5_000
BUDGET_S = 15.0
KEPT_DAYS = 30
CHANGES_INTO = 20
MOST_KEY = 255


class OutOfTime(Exception):
    """So many events of a body are left: the sender comes again with all of them."""


@dataclass
class Taken:
    """What a body did, counted in events."""

    triggered: int = 0
    acknowledged: int = 0
    resolved: int = 0
    unchanged: int = 0


@dataclass
class Sorting:
    """How one integration's words are placed here; components are read once for a whole body."""

    integration: Integration
    components: Mapping[str, Component] = field(default_factory=dict)

    @classmethod
    def of(cls, integration: Integration) -> "Sorting":
        """With the components of its project by name and slug."""
        known: dict[str, Component] = {}
        for component in Component.objects.filter(project=integration.project_id):
            known |= {component.name.lower(): component, component.slug: component}
        return cls(integration, known)

    def severity(self, word: str) -> str:
        """By the integration's own map, else by the usual words, else its default."""
        given = self.integration.severity_map
        mapped = given.get(word) or given.get(word.strip().lower()) if isinstance(given, dict) else None
        return severity_of(mapped) or severity_of(word) or Severity(self.integration.default_severity)

    def component(self, word: str) -> Component | None:
        """One that exists: a sender makes none."""
        return self.components.get(word.strip().lower()) or self.integration.component

    def policy(self, severity: str) -> EscalationPolicy | None:
        """Whom it pages, where it is severe enough."""
        pages = RANK[Severity(severity)] <= RANK[Severity(self.integration.pages_from)]
        return self.integration.policy if pages else None

    def key(self, event: Event) -> str:
        """The deduplication key; one that is too long is hashed, since cut ones would fall together."""
        key = self.integration.prefix + event.key
        return (
            key if len(key) <= MOST_KEY else f"{self.integration.prefix}sha256:{digest_of(event.key).hex()}"
        )

    def fired(self, event: Event, now: datetime) -> Fired:
        """As services take it."""
        severity = self.severity(event.severity)
        return Fired(
            key=self.key(event), title=event.title, severity=severity, project=self.integration.project,
            component=self.component(event.component), sentence=event.sentence, labels=event.labels,
            policy=self.policy(severity), first_seen_at=min(event.starts_at or now, now),
            integration=self.integration, opens_incident=self.integration.opens_incident,
            reopen_within_s=self.integration.reopen_window_s,
        )  # fmt: skip


def take(*, integration: Integration, events: Iterable[Event], now: datetime) -> Taken:
    """All events of a body. Each is durable by itself, so that a sender who comes again goes on where it was.

    Raises OutOfTime after BUDGET_S. What was never heard of goes first, so that each coming gets further.
    """
    sorting, taken, begun = Sorting.of(integration), Taken(), monotonic()
    events = sorted(events, key=lambda one: (one.key, one.starts_at or now, one.verb == RESOLVE))
    known = _known({sorting.key(one) for one in events if one.starts_at is not None})
    events.sort(key=lambda one: sorting.key(one) in known)
    for number, event in enumerate(events):
        if number and monotonic() - begun > BUDGET_S:
            raise OutOfTime(len(events) - number)
        name = _take_one(sorting, event, known, now) or "unchanged"
        setattr(taken, name, getattr(taken, name) + 1)
    return taken


def _take_one(sorting: Sorting, event: Event, known: Mapping[str, Occurrence], now: datetime) -> str:
    if event.starts_at is None:
        return _by_arrival(sorting, event, now)
    if _is_settled(known.get(sorting.key(event)), event, now):
        return ""
    return _by_occurrence(sorting, event, now)


def _patience() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL lock_timeout = {LOCK_MS}")


# --- With occurrences ---------------------------------------------------------------------------------------
def _known(keys: set[str]) -> dict[str, Occurrence]:
    found = Occurrence.objects.filter(key__in=keys).select_related("alert")
    return {one.key: one for one in found}


def _is_settled(held: Occurrence | None, event: Event, now: datetime) -> bool:
    """Whether nothing can change: looked up for the whole body at once, as peers say everything twice."""
    if held is None:
        return False
    if event.verb == RESOLVE:
        return held.closed_at is not None and held.starts_at >= _begun(event)
    return _judge(held, event, now) == occurrences.OLD


def _begun(event: Event) -> datetime:
    if event.starts_at is None:
        raise ValueError("an event without a beginning has no occurrence")
    return event.starts_at


def _judge(held: Occurrence | None, event: Event, now: datetime) -> str:
    known = None
    if held is not None:
        closed = [at for at in (held.closed_at, held.alert.resolved_at if held.alert else None) if at]
        known = occurrences.Known(held.starts_at, held.heard_at, max(closed, default=None))
    return occurrences.judge(known, starts_at=_begun(event), ended=event.verb == RESOLVE, now=now)


@transaction.atomic
def _by_occurrence(sorting: Sorting, event: Event, now: datetime) -> str:
    """What the event did: triggered, resolved, or nothing. The occurrence's row is held before the alert's."""
    _patience()
    key, begun = sorting.key(event), _begun(event)
    held, new = _hold(sorting.integration, key, begun, now)
    verdict = _judge(None if new else held, event, now)
    if verdict == occurrences.OLD:
        return ""
    if verdict == occurrences.NEWS:
        alert = services.trigger(fired=sorting.fired(event, now), now=now)
        _note(
            held,
            starts_at=begun,
            heard_at=now,
            alert=alert,
            source_url=event.source_url,
            ended_at=None,
            closed_at=None,
        )
        return "triggered"
    ended = max(event.ends_at or now, begun)
    _note(held, starts_at=begun, heard_at=now, ended_at=ended, closed_at=held.closed_at or now)
    return _resolve(key, sorting, now)


def _hold(integration: Integration, key: str, begun: datetime, now: datetime) -> tuple[Occurrence, bool]:
    """The row, locked; and whether this call made it."""
    rows = Occurrence.objects.select_for_update(of=("self",), no_key=True).select_related("alert")
    fresh = {"integration": integration, "starts_at": begun, "heard_at": now}
    return rows.get_or_create(key=key, defaults=fresh)


def _note(held: Occurrence, **facts: Any) -> None:
    Occurrence.objects.filter(pk=held.pk).update(**facts)


@transaction.atomic
def forget_occurrences(*, now: datetime) -> int:
    """Rows of failures that nobody spoke of for KEPT_DAYS; how many."""
    gone, _ = Occurrence.objects.filter(heard_at__lt=now - timedelta(days=KEPT_DAYS)).delete()
    return gone


# --- By arrival ---------------------------------------------------------------------------------------------
@transaction.atomic
def _by_arrival(sorting: Sorting, event: Event, now: datetime) -> str:
    """As above, without occurrences. An acknowledge or a resolve of nothing that is open is dropped."""
    _patience()
    if event.verb == TRIGGER:
        services.trigger(fired=sorting.fired(event, now), now=now)
        return "triggered"
    key = sorting.key(event)
    if event.verb == ACKNOWLEDGE:
        alert = Alert.objects.filter(dedup_key=key, state=AlertState.TRIGGERED).first()
        changed = alert is not None and services.acknowledge(alert=alert, act=_act(sorting, now))
        return "acknowledged" if changed else ""
    return _resolve(key, sorting, now)


def _resolve(key: str, sorting: Sorting, now: datetime) -> str:
    alert = Alert.objects.open().filter(dedup_key=key).first()
    changed = alert is not None and services.resolve(alert=alert, act=_act(sorting, now))
    return "resolved" if changed else ""


def _act(sorting: Sorting, now: datetime) -> Act:
    return Act(by=sorting.integration.name, at=now, via=sorting.integration.kind)


# --- Changes ------------------------------------------------------------------------------------------------
@transaction.atomic
def take_change(*, integration: Integration, summary: str, source: str, now: datetime) -> int:
    """A change is context for what is open in the project: an entry in each timeline. It pages nobody."""
    _patience()
    words = f"Change: {summary}" + (f" ({source})" if source else "")
    open_now = Incident.objects.open().filter(project=integration.project_id).order_by("-began_at")
    told = list(open_now[:CHANGES_INTO])
    for incident in told:
        incidents.add_entry(
            incident=incident, action="change", text=words, at=now, data={"integration": integration.pk}
        )
    return len(told)
