"""Sessions by hour, and their users by day.

One that reports by itself has a row with the latest that is known of it, and its next update moves it from one column
of its hour to another: each is counted once, under the latest. What a server counted itself is added as it comes.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from apps.core.bulk import rows_of
from apps.core.ids import event_key, millis
from apps.telemetry.count_requests import hour_of
from apps.telemetry.count_users import user_key
from apps.telemetry.endpoints import OTHER
from apps.telemetry.models import SessionOutcome, SessionState
from apps.telemetry.reported import SessionCounts, SessionUpdate

MOST_AN_HOUR = 200  # releases and environments
OUTCOMES = [outcome.value for outcome in SessionOutcome]
Hour = tuple[datetime, int, str, str]  # hour, project, release, environment
Counts = dict[Hour, Counter[str]]


@dataclass(frozen=True)
class Standing:
    """How far a session is known; the greater one is the later."""

    seq: int
    outcome: str

    @property
    def rank(self) -> tuple[int, int]:
        """By its number; of two with the same number the worse."""
        return self.seq, OUTCOMES.index(self.outcome)


def add(updates: Collection[SessionUpdate], counts: Collection[SessionCounts]) -> list[SessionUpdate]:
    """Count both; the updates that began a session which was not known before."""
    hours: Counts = defaultdict(Counter)
    for c in counts:
        row = _hour(c)
        for outcome in OUTCOMES:
            hours[row][outcome] += getattr(c, outcome)
    began = _move(updates, hours)
    write_hours({hour: changes for hour, changes in hours.items() if any(changes.values())})
    add_users(_users(updates, counts))
    return began


def _hour(sent: SessionUpdate | SessionCounts) -> Hour:
    return hour_of(sent.started_at), sent.project_id, sent.release, sent.environment


# --- Single sessions ----------------------------------------------------------------------------------------------
def _move(updates: Collection[SessionUpdate], hours: Counts) -> list[SessionUpdate]:
    """Write what is known of each session now, and into `hours` what that changes."""
    latest: dict[UUID, SessionUpdate] = {}
    for update in updates:
        key = event_key(update.project_id, update.session_id, millis(update.started_at))
        if key not in latest or _standing(update).rank > _standing(latest[key]).rank:
            latest[key] = update
    began = _insert(latest)
    for key in began:
        hours[_hour(latest[key])][latest[key].outcome] += 1
    for key, before in _supersede({key: u for key, u in latest.items() if key not in began}).items():
        hours[_hour(latest[key])][before] -= 1
        hours[_hour(latest[key])][latest[key].outcome] += 1
    return [latest[key] for key in began]


def _standing(update: SessionUpdate) -> Standing:
    return Standing(update.seq, update.outcome)


def _insert(latest: dict[UUID, SessionUpdate]) -> set[UUID]:
    """Those that were not known. One that another drain is just inserting is waited for, and is known then."""
    found = rows_of(
        "INSERT INTO telemetry_sessionstate (id, seq, outcome) SELECT * FROM jsonb_to_recordset(%s::jsonb) "
        "AS t(id uuid, seq bigint, outcome text) ON CONFLICT (id) DO NOTHING RETURNING id",
        [{"id": str(key), "seq": latest[key].seq, "outcome": latest[key].outcome} for key in sorted(latest)],
    )
    return {key for (key,) in found}


def _supersede(known: dict[UUID, SessionUpdate]) -> dict[UUID, str]:
    """Bring known sessions to their new standing where that is later; the outcomes that they had before."""
    locked = SessionState.objects.select_for_update(no_key=True).filter(pk__in=known).order_by("pk")
    stale = [
        (row.pk, row.outcome)
        for row in (locked if known else ())
        if _standing(known[row.pk]).rank > Standing(row.seq, row.outcome).rank
    ]
    rows_of(
        "UPDATE telemetry_sessionstate s SET seq = t.seq, outcome = t.outcome FROM "
        "jsonb_to_recordset(%s::jsonb) AS t(id uuid, seq bigint, outcome text) WHERE s.id = t.id",
        [{"id": str(pk), "seq": known[pk].seq, "outcome": known[pk].outcome} for pk, _ in stale],
    )
    return dict(stale)


# --- Hours --------------------------------------------------------------------------------------------------------
def write_hours(hours: Counts) -> None:
    """Add to the hours (or take away, where a session went from one outcome to another)."""
    folded: Counts = defaultdict(Counter)
    full = _full(hours)
    for (hour, project, release, environment), changes in hours.items():
        row = (hour, project, release, environment)
        folded[(hour, project, OTHER, OTHER) if row in full else row].update(changes)
    rows_of(
        "INSERT INTO telemetry_sessionhour AS r (hour, project_id, release, environment, healthy, errored, abnormal, "
        "crashed) SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(hour timestamptz, project_id bigint, release text, "
        "environment text, healthy bigint, errored bigint, abnormal bigint, crashed bigint) "
        "ON CONFLICT (hour, project_id, release, environment) DO UPDATE SET healthy = r.healthy + excluded.healthy, "
        "errored = r.errored + excluded.errored, abnormal = r.abnormal + excluded.abnormal, "
        "crashed = r.crashed + excluded.crashed",
        [_as_json(row, folded[row]) for row in sorted(folded)],
    )


def _as_json(row: Hour, changes: Counter[str]) -> dict[str, Any]:
    hour, project, release, environment = row
    place = {"hour": hour, "project_id": project, "release": release, "environment": environment}
    return place | {outcome: changes[outcome] for outcome in OUTCOMES}


def _full(hours: Collection[Hour]) -> set[Hour]:
    """Rows that are new to an hour which has no room for more releases."""
    asked = sorted(hours)
    found = rows_of(
        "SELECT t.i, (SELECT count(*) FROM telemetry_sessionhour r WHERE r.hour = t.hour AND r.project_id = t.p) "
        "FROM jsonb_to_recordset(%s::jsonb) AS t(i int, hour timestamptz, p bigint, r text, e text) "
        "WHERE NOT EXISTS (SELECT FROM telemetry_sessionhour r WHERE r.hour = t.hour AND r.project_id = t.p "
        "AND r.release = t.r AND r.environment = t.e)",
        [{"i": i, "hour": h, "p": p, "r": r, "e": e} for i, (h, p, r, e) in enumerate(asked)],
    )
    room: dict[tuple[datetime, int], int] = {}
    full = set()
    for i, there in sorted(found):
        place = asked[i][:2]
        room.setdefault(place, MOST_AN_HOUR - there)
        room[place] -= 1
        if room[place] < 0:
            full.add(asked[i])
    return full


# --- Users --------------------------------------------------------------------------------------------------------
UserDay = tuple[date, int, str, str, str]  # day, project, release, environment, user key


def _users(updates: Iterable[SessionUpdate], counts: Iterable[SessionCounts]) -> dict[UserDay, bool]:
    found: dict[UserDay, bool] = {}
    both: list[SessionUpdate | SessionCounts] = [*updates, *counts]
    for sent in both:
        if sent.user_hash is not None:
            crashed = sent.outcome == "crashed" if isinstance(sent, SessionUpdate) else sent.crashed > 0
            place = (sent.started_at.date(), sent.project_id, sent.release, sent.environment)
            key = (*place, user_key(sent.user_hash))
            found[key] = found.get(key, False) or crashed
    return found


def add_users(users: dict[UserDay, bool]) -> None:
    """Users of a day, and whether a session of theirs crashed. What would change nothing is not written."""
    columns = "day, project_id, release, environment, user_key"
    same = " AND ".join(f"s.{column} = t.{column}" for column in columns.split(", "))
    rows_of(
        f"INSERT INTO telemetry_sessionuserday AS a ({columns}, crashed) SELECT * FROM "  # noqa: S608
        "jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, release text, environment text, "
        "user_key uuid, crashed boolean) WHERE NOT EXISTS (SELECT FROM telemetry_sessionuserday s "
        f"WHERE {same} AND (s.crashed OR NOT t.crashed)) "
        f"ON CONFLICT ({columns}) DO UPDATE SET crashed = a.crashed OR excluded.crashed",
        [
            {**dict(zip(columns.split(", "), key, strict=True)), "crashed": crashed}
            for key, crashed in sorted(users.items())
        ],
    )
