"""Storing a batch of failures: rows, groups and counters in one transaction, each event once.

Idempotent by id: a row that is already there changes no counter. Every statement takes its keys sorted, so that two
drains never wait for each other in a ring.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.audit import services as audit
from apps.core.bulk import fetched, rows_of
from apps.core.ids import event_key, millis
from apps.errors import counting, long_counting
from apps.errors.counting import Placed
from apps.errors.event_rows import insert_events
from apps.errors.models import ErrorGroup, SeenEvent
from apps.errors.new_event import NewEvent
from apps.errors.regression import regressed
from apps.projects.services import component_ids

SEEN_FOR = timedelta(hours=48)
_SEEN = "SELECT id FROM errors_seenevent WHERE id = ANY(%s)"


@dataclass
class Stored:
    """What a batch came to; `by_day` counts what was stored by day of receipt and project."""

    stored: int = 0
    duplicates: int = 0
    regressed: list[int] = field(default_factory=list)
    by_day: Counter[tuple[date, int]] = field(default_factory=Counter)


@transaction.atomic
def store_batch(*, events: Sequence[NewEvent], backfilled: bool = False) -> Stored:
    """Store events of any projects. Group counters are written last: a hot group is locked for the shortest time."""
    placed = _place(events)
    made = _find_groups(placed, backfilled)
    fresh = insert_events(placed, backfilled)
    _forget_empty(made - {p.group_id for p in fresh})
    done = Stored(stored=len(fresh), duplicates=len(events) - len(fresh))
    done.by_day.update((p.event.received_at.date(), p.event.project_id) for p in fresh)
    counting.count_minutes_and_hours(fresh)
    long_counting.count_long(fresh)
    counting.count_tags(fresh)
    done.regressed = _touch_groups(fresh, counting.count_users(fresh))
    return done


# --- Keys ---------------------------------------------------------------------------------------------------------
def _place(events: Sequence[NewEvent]) -> list[Placed]:
    """Ids and components; repetitions within the batch and already seen ids without a usable time fall out."""
    components = component_ids({(e.project_id, e.component_name) for e in events})
    known: dict[UUID, Placed] = {}
    timeless: dict[UUID, Placed] = {}
    for event in events:
        at_ms = millis(event.occurred_at) if event.time_is_usable else millis(event.received_at)
        place = Placed(
            event_key(event.project_id, event.event_id, at_ms),
            event,
            components[event.project_id, event.component_name],
        )
        if event.time_is_usable:
            known.setdefault(place.id, place)
        else:
            timeless.setdefault(event_key(event.project_id, event.event_id, 0), place)
    return [*_not_seen(known), *_unseen(timeless)]


def _not_seen(known: dict[UUID, Placed]) -> list[Placed]:
    """Those that did not come before with a time that could not be used yet, as from a clock that is ahead."""
    keys = {key: event_key(p.event.project_id, p.event.event_id, 0) for key, p in known.items()}
    seen = {key for (key,) in fetched(_SEEN, [list(keys.values())])} if keys else set()
    return [p for key, p in known.items() if keys[key] not in seen]


def _unseen(timeless: dict[UUID, Placed]) -> list[Placed]:
    """Those whose id is new to the table of seen ids, which this call writes."""
    rows = [
        {"id": str(key), "seen_at": p.event.received_at.isoformat(), "stored_as": str(p.id)}
        for key, p in sorted(timeless.items())
    ]
    fresh = rows_of(
        "INSERT INTO errors_seenevent (id, seen_at, stored_as) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(id uuid, seen_at timestamptz, stored_as uuid) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        rows,
    )
    return [timeless[key] for (key,) in fresh]


def _find_groups(placed: list[Placed], backfilled: bool) -> set[int]:
    """Give every event its group, making those that are missing; the ids of those."""
    wanted: dict[tuple[int, str], Placed] = {}
    for place in placed:
        wanted.setdefault((place.event.project_id, place.event.fingerprint), place)
    ids = _group_ids(wanted)
    missing = sorted(key for key in wanted if key not in ids)
    if missing:
        _insert_groups([wanted[key] for key in missing], backfilled)
        ids |= _group_ids(missing)
    for place in placed:
        place.group_id = ids[place.event.project_id, place.event.fingerprint]
    return {ids[key] for key in missing}


def _group_ids(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    rows = rows_of(
        "SELECT g.id, g.project_id, g.fingerprint FROM errors_errorgroup g "
        "JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, f text) ON g.project_id = t.p AND g.fingerprint = t.f",
        [{"p": p, "f": f} for p, f in keys],
    )
    return {(project_id, fingerprint): pk for pk, project_id, fingerprint in rows}


def _insert_groups(firsts: list[Placed], backfilled: bool) -> None:
    """Rows of new groups, their counters still at zero: `_touch_groups` counts what was really stored."""
    ErrorGroup.objects.bulk_create(
        [
            ErrorGroup(
                project_id=p.event.project_id,
                component_id=p.component_id,
                fingerprint=p.event.fingerprint,
                title=p.event.title,
                culprit=p.event.culprit,
                error_type=p.event.error_type,
                exception_type=p.event.exception_type,
                severity=str(p.event.severity),
                first_seen=p.event.occurred_at,
                last_seen=p.event.occurred_at,
                first_release=p.event.release[:200],
                backfilled=backfilled,
            )
            for p in firsts
        ],
        ignore_conflicts=True,
    )


def _forget_empty(groups: set[int]) -> None:
    """A known event that comes again with another fingerprint makes a group, and leaves it without an event."""
    if groups:
        ErrorGroup.objects.filter(pk__in=groups, event_count=0).delete()


# --- Groups -------------------------------------------------------------------------------------------------------
_TOUCH_GROUPS = """
UPDATE errors_errorgroup g SET event_count = g.event_count + t.n, user_count = g.user_count + t.users,
  first_seen = least(g.first_seen, t.first_seen),
  last_event_id = CASE WHEN t.last_seen >= g.last_seen THEN t.last_event_id ELSE g.last_event_id END,
  severity = CASE WHEN t.last_seen >= g.last_seen THEN t.severity ELSE g.severity END,
  last_release = CASE WHEN t.last_seen >= g.last_seen AND t.release <> '' THEN t.release ELSE g.last_release END,
  last_seen = greatest(g.last_seen, t.last_seen)
FROM jsonb_to_recordset(%s::jsonb) AS t(id bigint, n bigint, users bigint, first_seen timestamptz,
  last_seen timestamptz, last_event_id uuid, severity text, release text) WHERE g.id = t.id
"""


def _touch_groups(fresh: list[Placed], new_users: Counter[int]) -> list[int]:
    """Counters and times of the groups, and the regressions; the ids of regressed groups."""
    by_group: dict[int, list[Placed]] = defaultdict(list)
    for place in fresh:
        by_group[place.group_id].append(place)
    ids = sorted(by_group)
    locked = list(
        ErrorGroup.objects.select_for_update(no_key=True)
        .filter(pk__in=ids)
        .order_by("pk")
        .only("pk", "status", "resolved_at", "resolved_in_release", "title")
    )
    rows_of(_TOUCH_GROUPS, [_group_row(pk, by_group[pk], new_users[pk]) for pk in ids])
    return [g.pk for g in locked if g.resolved_at and _reopen(g, by_group[g.pk])]


def _group_row(pk: int, places: list[Placed], users: int) -> dict[str, Any]:
    last = max(places, key=lambda p: p.event.occurred_at)
    return {
        "id": pk,
        "n": len(places),
        "users": users,
        "first_seen": min(p.event.occurred_at for p in places),
        "last_seen": last.event.occurred_at,
        "last_event_id": str(last.id),
        "severity": str(last.event.severity),
        "release": last.event.release[:200],
    }


def _reopen(group: ErrorGroup, places: list[Placed]) -> bool:
    """A resolved group that was seen again, and not merely by an old release, is open again."""
    assert group.resolved_at is not None
    back = [p for p in places if regressed(group.resolved_at, group.resolved_in_release, p.event)]
    if not back:
        return False
    at = min(p.event.occurred_at for p in back)
    changed = ErrorGroup.objects.filter(pk=group.pk, status="resolved").update(
        status="unresolved",
        regressed_at=at,
        times_regressed=F("times_regressed") + 1,
        resolved_at=None,
        resolved_by="",
    )
    if changed:
        audit.record(
            "error_group.regress",
            resource=group,
            category="system",
            details={"release": back[0].event.release},
        )
    return bool(changed)


def forget_seen(*, now: datetime) -> int:
    """Drop ids of timeless events that were seen more than 48 h ago."""
    return SeenEvent.objects.filter(seen_at__lt=now - SEEN_FOR).delete()[0]
