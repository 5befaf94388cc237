"""Storing a batch of telemetry: counters in one transaction, each report once.

What has an id is counted once however often it comes: tracked events by their own row, transactions and events without
a usable time by the table of seen ids, sessions by their standing. Sessions that a server counted have no id: whoever
hands them in does so in the transaction that deletes what they were read from. Every statement takes its keys sorted,
so that two drains never wait for each other in a ring.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction

from apps.core.bulk import rows_of
from apps.core.ids import event_key, millis
from apps.projects.services import component_ids
from apps.telemetry import count_requests, count_sessions, count_tracked, count_users
from apps.telemetry.known_events import API_RESPONSE_TIME
from apps.telemetry.models import RequestKind
from apps.telemetry.reported import ActiveUser, Request, SessionCounts, SessionUpdate, Tracked

Report = TypeVar("Report", Tracked, Request)
Placed = tuple[Tracked, int]  # an event and its component's id


@dataclass
class Stored:
    """What was new, by day of receipt and project."""

    tracked: Counter[tuple[date, int]] = field(default_factory=Counter)
    requests: Counter[tuple[date, int]] = field(default_factory=Counter)
    sessions: Counter[tuple[date, int]] = field(default_factory=Counter)


@transaction.atomic
def store_batch(
    *,
    tracked: Sequence[Tracked] = (),
    requests: Sequence[Request] = (),
    updates: Sequence[SessionUpdate] = (),
    counts: Sequence[SessionCounts] = (),
    active: Collection[ActiveUser] = (),
    backfilled: bool = False,
) -> Stored:
    """Store reports of any projects."""
    named: list[Tracked | Request] = [*tracked, *requests]
    components = component_ids({(r.project_id, r.component_name) for r in named})
    timely, timeless = (
        [t for t in tracked if t.time_is_usable],
        [t for t in tracked if not t.time_is_usable],
    )
    fresh = _insert_tracked([*timely, *_unseen("tracked", timeless)], components, backfilled)
    new = _unseen("transaction", requests)
    count_tracked.add(fresh)
    count_requests.add(
        count_requests.tally(
            [*((r, components[r.project_id, r.component_name]) for r in new), *_timings(fresh)]
        )
    )
    began = count_sessions.add(updates, counts)
    _count_active([event for event, _ in fresh], new, [*updates, *counts], active)
    return Stored(_by_day(event for event, _ in fresh), _by_day(new), _by_day([*began, *counts]))


def _by_day(reports: Any) -> Counter[tuple[date, int]]:
    return Counter((report.received_at.date(), report.project_id) for report in reports)


# --- Once each ----------------------------------------------------------------------------------------------------
def _seen_key(kind: str, report: Tracked | Request, day_before: bool = False) -> UUID:
    """By its own time; without one by the day of receipt, which a retry shares, or by the day before."""
    at = report.occurred_at
    if not report.time_is_usable:
        day = report.received_at.replace(hour=0, minute=0, second=0, microsecond=0)
        at = day - timedelta(days=1) if day_before else day
    return event_key(report.project_id, f"{kind}:{report.event_id}", millis(at))


def _unseen(kind: str, reports: Sequence[Report]) -> list[Report]:
    """Those whose id is new to the table of seen ids, which this call writes."""
    by_key = {_seen_key(kind, report): report for report in reversed(reports)}
    rows = rows_of(
        "INSERT INTO telemetry_seenreport (id) "
        "SELECT t.id FROM jsonb_to_recordset(%s::jsonb) AS t(id uuid, before uuid) "
        "WHERE NOT EXISTS (SELECT FROM telemetry_seenreport s WHERE s.id = t.before) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        [
            {"id": str(key), "before": str(_seen_key(kind, by_key[key], day_before=True))}
            for key in sorted(by_key)
        ],
    )
    return [by_key[key] for (key,) in rows]


_INSERT_TRACKED = """
INSERT INTO telemetry_trackedevent (id, event_id, project_id, component_id, name, severity, occurred_at, received_at,
  user_hash, duration_ms, data, backfilled)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(id uuid, event_id text, project_id bigint, component_id bigint,
  name text, severity text, occurred_at timestamptz, received_at timestamptz, user_hash text, duration_ms float8,
  data jsonb, backfilled boolean)
ON CONFLICT (id) DO NOTHING RETURNING id
"""


def _insert_tracked(
    events: Sequence[Tracked], components: dict[tuple[int, str], int], backfilled: bool
) -> list[Placed]:
    """The events that were not there before, each with its component's id."""
    by_id: dict[UUID, Placed] = {}
    for event in events:
        key = event_key(event.project_id, event.event_id, millis(event.occurred_at))
        by_id.setdefault(key, (event, components[event.project_id, event.component_name]))
    rows = [_tracked_row(key, *by_id[key], backfilled) for key in sorted(by_id)]
    return [by_id[key] for (key,) in rows_of(_INSERT_TRACKED, rows)]


def _tracked_row(key: UUID, event: Tracked, component_id: int, backfilled: bool) -> dict[str, Any]:
    return {
        "id": str(key), "event_id": event.event_id, "project_id": event.project_id, "component_id": component_id,
        "name": event.name, "severity": event.severity, "occurred_at": event.occurred_at,
        "received_at": event.received_at, "user_hash": event.user_hash.hex() if event.user_hash else "",
        "duration_ms": event.duration_ms, "data": event.data, "backfilled": backfilled,
    }  # fmt: skip


# --- Counted as well ----------------------------------------------------------------------------------------------
def _timings(events: Sequence[Placed]) -> list[tuple[Request, int]]:
    """Response times that applications track themselves; requests in their own right where they say the status."""
    return [
        (_request_of(event), component_id)
        for event, component_id in events
        if event.name == API_RESPONSE_TIME and event.duration_ms is not None
    ]


def _request_of(event: Tracked) -> Request:
    return Request(
        event_id=event.event_id,
        project_id=event.project_id,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        time_is_usable=event.time_is_usable,
        component_name=event.component_name,
        kind=RequestKind.REQUEST.value,
        endpoint=event.subject,
        device=event.device,
        failed=None if event.status_code is None else event.status_code >= 500,
        duration_ms=event.duration_ms,
    )


def _count_active(
    tracked: Sequence[Tracked],
    requests: Sequence[Request],
    sessions: Sequence[SessionUpdate | SessionCounts],
    active: Collection[ActiveUser],
) -> None:
    count_users.add_active(
        [
            *((t.project_id, t.occurred_at, t.user_hash) for t in tracked if t.user_hash),
            *((r.project_id, r.occurred_at, r.user_hash) for r in requests if r.user_hash),
            *((s.project_id, s.started_at, s.user_hash) for s in sessions if s.user_hash),
            *((a.project_id, a.at, a.user_hash) for a in active),
        ]
    )
