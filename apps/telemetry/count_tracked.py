"""Tracked events by hour and by minute, and who did what.

Names and fields are a sender's to choose, so there is an end to how many rows an hour may have: beyond it what is new
counts under "(other)", first its fields, then its name. Nothing is lost; names that the pages know keep theirs.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any

from apps.core.bulk import rows_of
from apps.telemetry import count_users, histogram
from apps.telemetry.count_requests import Tally, hour_of, minute_of
from apps.telemetry.endpoints import OTHER
from apps.telemetry.known_events import EVENTS
from apps.telemetry.reported import Tracked

MOST_OF_A_NAME = 200
MOST_NAMES = 300


@dataclass(frozen=True, order=True)
class Key:
    """One row of an hour: see `TrackedHour`."""

    at: datetime
    project_id: int
    component_id: int
    name: str
    subject: str = ""
    provider: str = ""
    reason: str = ""
    outcome: str = ""
    severity: str = ""


Placed = tuple[Tracked, int]  # an event and its component's id
Tallies = Mapping[Key, Tally]

_KEY_COLUMNS = "hour, project_id, component_id, name, subject, provider, reason, outcome, severity"
_KEY_TYPES = (
    "hour timestamptz, project_id bigint, component_id bigint, name text, subject text, provider text, reason text, "
    "outcome text, severity text"
)


def add(events: Collection[Placed]) -> None:
    """Count events, each with its component's id, in all that is counted of them."""
    tallies: dict[Key, Tally] = defaultdict(Tally)
    keys = [_key(event, component_id) for event, component_id in events]
    folded = _folds(set(keys))
    for (event, _), key in zip(events, keys, strict=True):
        tallies[folded.get(key, key)].count(False, event.duration_ms)
    write_hours(tallies)
    _add_minutes(events, [folded.get(key, key) for key in keys])
    _add_deeds(events, [folded.get(key, key) for key in keys])


def _key(event: Tracked, component_id: int) -> Key:
    return Key(
        hour_of(event.occurred_at), event.project_id, component_id, event.name, event.subject, event.provider,
        event.reason, event.outcome, event.severity,
    )  # fmt: skip


# --- Hours --------------------------------------------------------------------------------------------------------
def _folds(keys: set[Key]) -> dict[Key, Key]:
    """What becomes "(other)" of the keys that are new to a full hour; the rest is not in it."""
    new = keys - _known(keys)
    if not new:
        return {}
    counts = _counts({(key.at, key.project_id) for key in new})
    folds: dict[Key, Key] = {}
    for key in sorted(new):
        names = counts[key.at, key.project_id]
        if key.name not in names and key.name not in EVENTS and len(names) >= MOST_NAMES:
            folds[key] = replace(key, name=OTHER, subject="", provider="", reason="", outcome="")
        elif names[key.name] >= MOST_OF_A_NAME:
            folds[key] = replace(key, subject=OTHER, provider="", reason="")
        else:
            names[key.name] += 1
    return folds


def _known(keys: Collection[Key]) -> set[Key]:
    asked = sorted(keys)
    same = " AND ".join(f"h.{column} = t.{column}" for column in _KEY_COLUMNS.split(", "))
    found = rows_of(
        f"SELECT t.i FROM jsonb_to_recordset(%s::jsonb) AS t(i int, {_KEY_TYPES}) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM telemetry_trackedhour h WHERE {same})",
        [{"i": i, **_columns(key)} for i, key in enumerate(asked)],
    )
    return {asked[i] for (i,) in found}


def _counts(asked: Iterable[tuple[datetime, int]]) -> dict[tuple[datetime, int], Counter[str]]:
    """How many rows each name has in these hours of these projects."""
    pairs = sorted(asked)
    found: dict[tuple[datetime, int], Counter[str]] = defaultdict(Counter)
    for i, name, n in rows_of(
        "SELECT t.i, h.name, count(*) FROM jsonb_to_recordset(%s::jsonb) AS t(i int, hour timestamptz, p bigint) "
        "JOIN telemetry_trackedhour h ON h.hour = t.hour AND h.project_id = t.p GROUP BY t.i, h.name",
        [{"i": i, "hour": at, "p": project} for i, (at, project) in enumerate(pairs)],
    ):
        found[pairs[i]][name] = n
    return found


def _columns(key: Key) -> dict[str, Any]:
    return dict(zip(_KEY_COLUMNS.split(", "), astuple(key), strict=True))


def write_hours(tallies: Tallies) -> None:
    """Add to the hours; what comes here is folded already."""
    rows_of(
        f"INSERT INTO telemetry_trackedhour AS r ({_KEY_COLUMNS}, n, timed, duration_sum_ms, durations) "  # noqa: S608
        f"SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t({_KEY_TYPES}, n bigint, timed bigint, "
        f"duration_sum_ms float8, durations jsonb) ON CONFLICT ({_KEY_COLUMNS}) DO UPDATE SET n = r.n + excluded.n, "
        "timed = r.timed + excluded.timed, duration_sum_ms = r.duration_sum_ms + excluded.duration_sum_ms, "
        "durations = telemetry_merge(r.durations, excluded.durations)",
        [
            {
                **_columns(key), "n": tallies[key].n, "timed": tallies[key].timed,
                "duration_sum_ms": tallies[key].duration_sum_ms,
                "durations": histogram.as_json(tallies[key].durations),
            }
            for key in sorted(tallies)
        ],
    )  # fmt: skip


# --- Minutes ------------------------------------------------------------------------------------------------------
def _add_minutes(events: Collection[Placed], keys: list[Key]) -> None:
    """Those that mean a failure, under the names that their hour has."""
    counts = Counter(
        (minute_of(event.occurred_at), key.project_id, key.component_id, key.name)
        for (event, _), key in zip(events, keys, strict=True)
        if key.severity
    )
    rows_of(
        "INSERT INTO telemetry_trackedminute AS r (minute, project_id, component_id, name, n) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(minute timestamptz, project_id bigint, component_id bigint, "
        "name text, n bigint) ON CONFLICT (minute, project_id, component_id, name) DO UPDATE SET n = r.n + excluded.n",
        [
            {"minute": minute, "project_id": project, "component_id": component, "name": name, "n": n}
            for (minute, project, component, name), n in sorted(counts.items())
        ],
    )


# --- Users --------------------------------------------------------------------------------------------------------
def _add_deeds(events: Collection[Placed], keys: list[Key]) -> None:
    latest: dict[count_users.Deed, datetime] = {}
    for (event, _), key in zip(events, keys, strict=True):
        if event.user_hash is None:
            continue
        user = count_users.user_key(event.user_hash)
        deed = (
            event.occurred_at.date(), key.project_id, key.component_id, key.name, key.subject, key.severity, user,
        )  # fmt: skip
        latest[deed] = max(latest.get(deed, event.occurred_at), event.occurred_at)
    count_users.add_deeds(latest)
