"""Storing a batch of failures: rows, groups and counters in one transaction, each event once.

Idempotent by id: a row that is already there changes no counter. Every statement takes its keys sorted, so that two
drains never wait for each other in a ring.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import F

from apps.audit import services as audit
from apps.core.ids import event_key, millis
from apps.errors.models import ErrorGroup, SeenEvent
from apps.errors.new_event import NewEvent
from apps.errors.regression import regressed
from apps.projects.models import Project
from apps.projects.services import ensure_component

TAG_VALUES_KEPT = 50
SEEN_FOR = timedelta(hours=48)


@dataclass
class Stored:
    """What a batch came to."""

    stored: int = 0
    duplicates: int = 0
    new_groups: int = 0
    regressed: list[int] = field(default_factory=list)


@dataclass
class _Placed:
    """An event with the keys that the database knows it by."""

    id: UUID
    event: NewEvent
    component_id: int
    group_id: int = 0


def _rows(sql: str, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one statement over rows handed in as one JSON document: one parameter, one round trip."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(rows).decode()])
        return cursor.fetchall() if cursor.description else []


@transaction.atomic
def store_batch(*, events: Sequence[NewEvent], backfilled: bool = False) -> Stored:
    """Store events of any projects. Group counters are written last: a hot group is locked for the shortest time."""
    placed = _place(events)
    first_count = len(events)
    new_groups = _find_groups(placed, backfilled)
    fresh = _insert_events(placed, backfilled)
    done = Stored(stored=len(fresh), duplicates=first_count - len(fresh), new_groups=new_groups)
    _count_minutes(fresh)
    _count_endpoints(fresh)
    _count_hours(fresh)
    _count_tags(fresh)
    new_users = _count_users(fresh)
    done.regressed = _touch_groups(fresh, new_users)
    return done


# --- Keys ---------------------------------------------------------------------------------------------------------
def _place(events: Sequence[NewEvent]) -> list[_Placed]:
    """Ids and components; repetitions within the batch and already seen ids without a usable time fall out."""
    components = _components({(e.project_id, e.component_name) for e in events})
    known: dict[UUID, _Placed] = {}
    timeless: dict[UUID, _Placed] = {}
    for event in events:
        at_ms = millis(event.occurred_at) if event.time_is_usable else millis(event.received_at)
        place = _Placed(
            event_key(event.project_id, event.event_id, at_ms),
            event,
            components[event.project_id, event.component_name],
        )
        if event.time_is_usable:
            known.setdefault(place.id, place)
        else:
            timeless.setdefault(event_key(event.project_id, event.event_id, 0), place)
    return [*known.values(), *_unseen(timeless)]


def _unseen(timeless: dict[UUID, _Placed]) -> list[_Placed]:
    """Those whose id is new to the table of seen ids, which this call writes."""
    rows = [
        {"id": str(key), "seen_at": p.event.received_at.isoformat(), "stored_as": str(p.id)}
        for key, p in sorted(timeless.items())
    ]
    fresh = _rows(
        "INSERT INTO errors_seenevent (id, seen_at, stored_as) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(id uuid, seen_at timestamptz, stored_as uuid) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        rows,
    )
    return [timeless[key] for (key,) in fresh]


def _components(wanted: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Component ids by project and name; a name heard for the first time becomes a component."""
    pairs = sorted(wanted)
    found = {
        (project_id, name): pk
        for pk, project_id, name in _rows(
            "SELECT c.id, c.project_id, c.name FROM projects_component c "
            "JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, n text) ON c.project_id = t.p AND c.name = t.n",
            [{"p": p, "n": n} for p, n in pairs],
        )
    }
    for project_id, name in pairs:
        if (project_id, name) not in found:
            project = Project.objects.get(pk=project_id)
            found[project_id, name] = ensure_component(project=project, name=name).pk
    return found


def _find_groups(placed: list[_Placed], backfilled: bool) -> int:
    """Give every event its group, making those that are missing; returns how many were made."""
    wanted: dict[tuple[int, str], _Placed] = {}
    for place in placed:
        wanted.setdefault((place.event.project_id, place.event.fingerprint), place)
    ids = _group_ids(wanted)
    missing = sorted(key for key in wanted if key not in ids)
    if missing:
        _insert_groups([wanted[key] for key in missing], backfilled)
        ids |= _group_ids(missing)
    for place in placed:
        place.group_id = ids[place.event.project_id, place.event.fingerprint]
    return len(missing)


def _group_ids(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    rows = _rows(
        "SELECT g.id, g.project_id, g.fingerprint FROM errors_errorgroup g "
        "JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, f text) ON g.project_id = t.p AND g.fingerprint = t.f",
        [{"p": p, "f": f} for p, f in keys],
    )
    return {(project_id, fingerprint): pk for pk, project_id, fingerprint in rows}


def _insert_groups(firsts: list[_Placed], backfilled: bool) -> None:
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
                first_release=p.event.release,
                backfilled=backfilled,
            )
            for p in firsts
        ],
        ignore_conflicts=True,
    )


# --- Rows ---------------------------------------------------------------------------------------------------------
_INSERT_EVENTS = """
INSERT INTO errors_errorevent (id, event_id, occurred_at, received_at, project_id, component_id, group_id, severity,
  error_type, message, user_hash, user_impact, release, environment, endpoint, device_type, source, tags, payload,
  backfilled)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(id uuid, event_id text, occurred_at timestamptz,
  received_at timestamptz, project_id bigint, component_id bigint, group_id bigint, severity text, error_type text,
  message text, user_hash text, user_impact boolean, release text, environment text, endpoint text, device_type text,
  source text, tags jsonb, payload jsonb, backfilled boolean)
ON CONFLICT (id) DO NOTHING RETURNING id
"""


def _insert_events(placed: list[_Placed], backfilled: bool) -> list[_Placed]:
    """The events that were not there before."""
    by_id = {p.id: p for p in placed}
    rows = [_event_row(by_id[key], backfilled) for key in sorted(by_id)]
    return [by_id[key] for (key,) in _rows(_INSERT_EVENTS, rows)]


def _event_row(place: _Placed, backfilled: bool) -> dict[str, Any]:
    event = place.event
    return {
        "id": str(place.id),
        "event_id": event.event_id,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "project_id": event.project_id,
        "component_id": place.component_id,
        "group_id": place.group_id,
        "severity": str(event.severity),
        "error_type": event.error_type,
        "message": event.message,
        "user_hash": event.user_hash.hex() if event.user_hash else "",
        "user_impact": event.user_impact,
        "release": event.release[:200],
        "environment": event.environment[:64],
        "endpoint": event.route[:200],
        "device_type": event.device,
        "source": event.source,
        "tags": event.tags,
        "payload": event.payload,
        "backfilled": backfilled,
    }


# --- Counters -----------------------------------------------------------------------------------------------------
def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _count_minutes(fresh: list[_Placed]) -> None:
    counts: dict[tuple[datetime, int, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for p in fresh:
        key = (_minute(p.event.occurred_at), p.component_id, p.event.project_id, str(p.event.severity))
        counts[key][0] += 1
        counts[key][1] += p.event.user_impact
    _rows(
        "INSERT INTO errors_errorminute (minute, component_id, project_id, severity, n, impacting) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(minute timestamptz, component_id bigint, "
        "project_id bigint, severity text, n bigint, impacting bigint) "
        "ON CONFLICT (minute, component_id, severity) DO UPDATE SET n = errors_errorminute.n + excluded.n, "
        "impacting = errors_errorminute.impacting + excluded.impacting",
        [
            {"minute": m, "component_id": c, "project_id": p, "severity": s, "n": n, "impacting": i}
            for (m, c, p, s), (n, i) in sorted(counts.items())
        ],
    )


def _count_endpoints(fresh: list[_Placed]) -> None:
    counts = Counter(
        (_minute(p.event.occurred_at), p.event.project_id, p.event.route[:200])
        for p in fresh
        if p.event.route
    )
    _rows(
        "INSERT INTO errors_endpointminute (minute, project_id, endpoint, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(minute timestamptz, project_id bigint, endpoint text, "
        "n bigint) ON CONFLICT (minute, project_id, endpoint) DO UPDATE SET n = errors_endpointminute.n + excluded.n",
        [{"minute": m, "project_id": p, "endpoint": e, "n": n} for (m, p, e), n in sorted(counts.items())],
    )


def _count_hours(fresh: list[_Placed]) -> None:
    counts = Counter(
        (p.group_id, p.event.occurred_at.replace(minute=0, second=0, microsecond=0)) for p in fresh
    )
    _rows(
        "INSERT INTO errors_grouphour (group_id, hour, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(group_id bigint, hour timestamptz, n bigint) "
        "ON CONFLICT (group_id, hour) DO UPDATE SET n = errors_grouphour.n + excluded.n",
        [{"group_id": g, "hour": h, "n": n} for (g, h), n in sorted(counts.items())],
    )


def _count_users(fresh: list[_Placed]) -> Counter[int]:
    """Users per group that the group had not hit before."""
    last: dict[tuple[int, str], datetime] = {}
    for p in fresh:
        if p.event.user_hash:
            key = (p.group_id, p.event.user_hash.hex())
            last[key] = max(last.get(key, p.event.occurred_at), p.event.occurred_at)
    written = _rows(
        "INSERT INTO errors_groupuser (group_id, user_hash, last_seen) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(group_id bigint, user_hash text, last_seen timestamptz) "
        "ON CONFLICT (group_id, user_hash) DO UPDATE "
        "SET last_seen = greatest(errors_groupuser.last_seen, excluded.last_seen) RETURNING group_id, xmax = 0",
        [{"group_id": g, "user_hash": u, "last_seen": at} for (g, u), at in sorted(last.items())],
    )
    return Counter(group_id for group_id, inserted in written if inserted)


def _count_tags(fresh: list[_Placed]) -> None:
    """Tag values per group; beyond TAG_VALUES_KEPT values of a key the rest is counted as "(other)"."""
    counts = Counter((p.group_id, k[:64], str(v)[:200]) for p in fresh for k, v in p.event.tags.items())
    _rows(
        f"""
        INSERT INTO errors_grouptag (group_id, key, value, n)
        SELECT group_id, key, kept, sum(n) FROM (
          SELECT t.group_id, t.key, t.n, CASE WHEN known.n IS NOT NULL
            OR t.rank + (SELECT count(*) FROM errors_grouptag g WHERE g.group_id = t.group_id AND g.key = t.key)
               <= {TAG_VALUES_KEPT} THEN t.value ELSE '(other)' END AS kept
          FROM (SELECT *, row_number() OVER (PARTITION BY group_id, key ORDER BY n DESC, value) AS rank
                FROM jsonb_to_recordset(%s::jsonb) AS r(group_id bigint, key text, value text, n bigint)) t
          LEFT JOIN errors_grouptag known
            ON known.group_id = t.group_id AND known.key = t.key AND known.value = t.value) named
        GROUP BY group_id, key, kept ORDER BY group_id, key, kept
        ON CONFLICT (group_id, key, value) DO UPDATE SET n = errors_grouptag.n + excluded.n
        """,  # noqa: S608 - the only thing put in is our own number
        [{"group_id": g, "key": k, "value": v, "n": n} for (g, k, v), n in sorted(counts.items())],
    )


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


def _touch_groups(fresh: list[_Placed], new_users: Counter[int]) -> list[int]:
    """Counters and times of the groups, and the regressions; the ids of regressed groups."""
    by_group: dict[int, list[_Placed]] = defaultdict(list)
    for place in fresh:
        by_group[place.group_id].append(place)
    ids = sorted(by_group)
    locked = list(
        ErrorGroup.objects.select_for_update(no_key=True)
        .filter(pk__in=ids)
        .order_by("pk")
        .only("pk", "status", "resolved_at", "resolved_in_release", "title")
    )
    _rows(_TOUCH_GROUPS, [_group_row(pk, by_group[pk], new_users[pk]) for pk in ids])
    return [g.pk for g in locked if g.resolved_at and _reopen(g, by_group[g.pk])]


def _group_row(pk: int, places: list[_Placed], users: int) -> dict[str, Any]:
    last = max(places, key=lambda p: p.event.occurred_at)
    return {
        "id": pk,
        "n": len(places),
        "users": users,
        "first_seen": min(p.event.occurred_at for p in places),
        "last_seen": last.event.occurred_at,
        "last_event_id": str(last.id),
        "severity": str(last.event.severity),
        "release": last.event.release,
    }


def _reopen(group: ErrorGroup, places: list[_Placed]) -> bool:
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
