"""Storing what comes beside events: what people said about them, and small files. Each once, however often it comes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec
from django.db import connection, transaction

from apps.core.bulk import rows_of
from apps.core.ids import uuid_floor
from apps.errors.attachments import NewAttachment
from apps.errors.user_reports import NewUserReport
from apps.projects.intake import MAX_AGE, MAX_SKEW

MOST_FILES_OF_AN_EVENT = 10
_LINK_AT_ONCE = 200

Days = Counter[tuple[date, int]]  # by day of receipt and project


# --- User reports -------------------------------------------------------------------------------------------------
_INSERT_REPORTS = """
INSERT INTO errors_userreport (project_id, report_id, about, message, occurred_at, received_at, user_hash, url,
  release, environment)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(project_id bigint, report_id text, about text, message text,
  occurred_at timestamptz, received_at timestamptz, user_hash text, url text, release text, environment text)
ON CONFLICT (project_id, report_id) DO NOTHING RETURNING project_id, report_id
"""
# The event's partition is not known from its id alone, only the days on which it can have happened.
_LINK_REPORTS = """
WITH waiting AS (
  SELECT id, project_id, about FROM errors_userreport
  WHERE group_id IS NULL AND about <> '' AND received_at > %s ORDER BY received_at DESC LIMIT %s
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE errors_userreport r SET group_id = e.group_id FROM waiting w CROSS JOIN LATERAL (
  SELECT group_id FROM errors_errorevent
  WHERE event_id = w.about AND project_id = w.project_id AND id >= %s LIMIT 1
) e WHERE r.id = w.id
"""


@transaction.atomic
def store_user_reports(*, reports: Sequence[NewUserReport], now: datetime) -> Days:
    """Store reports of any projects; those that were new. An event that is known gives its group at once."""
    sent = {(one.project_id, one.report_id): one for one in reversed(reports)}
    rows = [
        {**msgspec.structs.asdict(one), "user_hash": one.user_hash.hex() if one.user_hash else ""}
        for _, one in sorted(sent.items(), key=lambda item: item[0])
    ]
    fresh = Counter(_day(sent[key]) for key in rows_of(_INSERT_REPORTS, rows))
    link_user_reports(now=now)
    return fresh


def link_user_reports(*, now: datetime) -> int:
    """Give reports the group of their event, if it has come by now; how many found theirs.

    The newest _LINK_AT_ONCE of those whose event can still come: events are taken for MAX_AGE.
    """
    since = now - MAX_AGE
    with connection.cursor() as cursor:
        cursor.execute(_LINK_REPORTS, [since, _LINK_AT_ONCE, uuid_floor(since - MAX_AGE - MAX_SKEW)])
        return cursor.rowcount


# --- Attachments --------------------------------------------------------------------------------------------------
_INSERT_FILES = """
INSERT INTO errors_attachment (project_id, event_id, name, digest, received_at, size, text)
SELECT t.project_id, t.event_id, t.name, decode(t.digest, 'hex'), t.received_at, t.size, t.text
FROM jsonb_to_recordset(%s::jsonb) AS t(project_id bigint, event_id text, name text, digest text,
  received_at timestamptz, size integer, text text)
ON CONFLICT (project_id, event_id, name, digest) DO NOTHING
RETURNING project_id, event_id, name, encode(digest, 'hex')
"""
_FILES_OF_EVENTS = """
SELECT a.project_id, a.event_id, a.name, encode(a.digest, 'hex') FROM errors_attachment a
JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, e text) ON a.project_id = t.p AND a.event_id = t.e
"""
File = tuple[int, str, str, str]  # project id, event id, name, digest in hex


@dataclass
class StoredFiles:
    """Files that were new, and those beyond MOST_FILES_OF_AN_EVENT."""

    fresh: Days = field(default_factory=Counter)
    over_limit: Days = field(default_factory=Counter)


@transaction.atomic
def store_attachments(*, files: Sequence[NewAttachment]) -> StoredFiles:
    """Store files of any events, each once."""
    sent = {_file(one): one for one in reversed(files)}
    events = sorted({(one.project_id, one.event_id) for one in files})
    held: set[File] = set(rows_of(_FILES_OF_EVENTS, [{"p": p, "e": e} for p, e in events]))
    count = Counter(key[:2] for key in held)
    done, rows = StoredFiles(), []
    for key in sorted(sent.keys() - held):
        if count[key[:2]] >= MOST_FILES_OF_AN_EVENT:
            done.over_limit[_day(sent[key])] += 1
            continue
        count[key[:2]] += 1
        rows.append({**msgspec.structs.asdict(sent[key]), "digest": key[3]})
    done.fresh.update(_day(sent[key]) for key in rows_of(_INSERT_FILES, rows))
    return done


def _file(one: NewAttachment) -> File:
    return one.project_id, one.event_id, one.name, one.digest.hex()


def _day(one: NewAttachment | NewUserReport) -> tuple[date, int]:
    return one.received_at.date(), one.project_id
