"""Who was there, and who did what, by day. A user is the first 128 bits of the keyed hash, as a UUID."""

from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID

from apps.core.bulk import rows_of
from apps.telemetry.count_requests import hour_of

Presence = tuple[int, datetime, bytes]  # project, when, user hash


def user_key(user_hash: bytes) -> str:
    """The text of the UUID that a user is counted by."""
    return str(UUID(bytes=user_hash[:16]))


def add_active(presences: Iterable[Presence]) -> None:
    """Users seen on a day, with the latest hour. What would change nothing is not even tried: no locks, no writes."""
    latest: dict[tuple[date, int, str], datetime] = {}
    for project_id, at, user_hash in presences:
        key = (at.date(), project_id, user_key(user_hash))
        latest[key] = max(latest.get(key, at), at)
    rows_of(
        "INSERT INTO telemetry_activeuserday AS a (day, project_id, user_key, last_hour) "
        "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, user_key uuid, "
        "last_hour timestamptz) WHERE NOT EXISTS (SELECT FROM telemetry_activeuserday s WHERE s.day = t.day "
        "AND s.project_id = t.project_id AND s.user_key = t.user_key AND s.last_hour >= t.last_hour) "
        "ON CONFLICT (day, project_id, user_key) DO UPDATE SET last_hour = greatest(a.last_hour, excluded.last_hour)",
        [
            {"day": day, "project_id": project_id, "user_key": user, "last_hour": hour_of(at)}
            for (day, project_id, user), at in sorted(latest.items())
        ],
    )


Deed = tuple[date, int, int, str, str, str, str]  # day, project, component, name, subject, severity, user key


def add_deeds(latest: dict[Deed, datetime]) -> None:
    """Who did what: the latest time of each, brought to its hour."""
    columns = "day, project_id, component_id, name, subject, severity, user_key"
    same = " AND ".join(f"s.{column} = t.{column}" for column in columns.split(", "))
    rows_of(
        f"INSERT INTO telemetry_trackeduserday AS a ({columns}, last_hour) SELECT * FROM "  # noqa: S608
        "jsonb_to_recordset(%s::jsonb) AS t(day date, project_id bigint, component_id bigint, name text, subject text, "
        "severity text, user_key uuid, last_hour timestamptz) WHERE NOT EXISTS (SELECT FROM telemetry_trackeduserday s "
        f"WHERE {same} AND s.last_hour >= t.last_hour) "
        f"ON CONFLICT ({columns}) DO UPDATE SET last_hour = greatest(a.last_hour, excluded.last_hour)",
        [
            {**dict(zip(columns.split(", "), deed, strict=True)), "last_hour": hour_of(at)}
            for deed, at in sorted(latest.items())
        ],
    )
