"""Storing what jobs report: each run once, its end never undone, in as many statements for one as for a batch."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction

from apps.audit import services as audit
from apps.core.bulk import rows_of
from apps.health.check_ins import OK, NewCheckIn, Run, after
from apps.health.models import CheckIn, Heartbeat

KEPT_FOR = timedelta(days=30)
# Whoever has a key names jobs, and that is every visitor of a page: so there is an end to it.
MOST_HEARTBEATS = 500
_FORGET_AT_ONCE = 5_000

Key = tuple[int, str, str]  # project id, slug, environment


@dataclass
class Stored:
    """By day of receipt and project: reports that told something, and those of jobs beyond MOST_HEARTBEATS."""

    fresh: Counter[tuple[date, int]] = field(default_factory=Counter)
    over_limit: Counter[tuple[date, int]] = field(default_factory=Counter)


@transaction.atomic
def store_check_ins(*, check_ins: Sequence[NewCheckIn]) -> Stored:
    """Store reports of any projects. A report that tells nothing new changes nothing."""
    ids = _heartbeats(check_ins)
    _lock(ids.values())
    known = [one for one in check_ins if _key(one) in ids]
    told = _store_runs(known, ids)
    _touch_heartbeats(told, ids)
    _plan_heartbeats(known, ids)
    done = Stored()
    done.over_limit.update(_day(one) for one in check_ins if _key(one) not in ids)
    done.fresh.update(_day(one) for one in told)
    return done


def _key(one: NewCheckIn) -> Key:
    return one.project_id, one.slug, one.environment


def _day(one: NewCheckIn) -> tuple[date, int]:
    return one.received_at.date(), one.project_id


# --- Jobs ---------------------------------------------------------------------------------------------------------
def _heartbeats(check_ins: Sequence[NewCheckIn]) -> dict[Key, int]:
    """Ids of the jobs; one heard of for the first time is made, while its project has room."""
    wanted: dict[Key, NewCheckIn] = {}
    for one in check_ins:
        wanted.setdefault(_key(one), one)
    found = _ids_of(wanted)
    missing = [wanted[key] for key in sorted(wanted) if key not in found]
    if missing:
        _make(missing)
        found |= _ids_of([_key(one) for one in missing])
    return found


def _ids_of(keys: Any) -> dict[Key, int]:
    rows = rows_of(
        "SELECT h.id, h.project_id, h.slug, h.environment FROM health_heartbeat h "
        "JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, s text, e text) "
        "ON h.project_id = t.p AND h.slug = t.s AND h.environment = t.e",
        [{"p": p, "s": s, "e": e} for p, s, e in keys],
    )
    return {(project_id, slug, environment): pk for pk, project_id, slug, environment in rows}


def _make(firsts: Sequence[NewCheckIn]) -> None:
    """Rows of new jobs. Two drains may make the same at once: one row results, and who made it records that."""
    held = {pk: Heartbeat.objects.filter(project_id=pk).count() for pk in {one.project_id for one in firsts}}
    for one in firsts:
        if held[one.project_id] >= MOST_HEARTBEATS:
            continue
        held[one.project_id] += 1
        heartbeat, made = Heartbeat.objects.get_or_create(
            project_id=one.project_id, slug=one.slug, environment=one.environment,
            defaults={"last_status": one.status, "last_check_in_at": one.received_at, "schedule": one.schedule},
        )  # fmt: skip
        if made:
            audit.record("heartbeat.create", resource=heartbeat, category="config")


# --- Runs ---------------------------------------------------------------------------------------------------------
def _lock(heartbeat_ids: Iterable[int]) -> None:
    """One drain at a time reads and writes the runs of a job; in one order, so that none waits in a ring."""
    jobs = Heartbeat.objects.filter(pk__in=heartbeat_ids).order_by("pk")
    list(jobs.select_for_update(no_key=True).values_list("pk"))


def _store_runs(check_ins: Sequence[NewCheckIn], ids: dict[Key, int]) -> list[NewCheckIn]:
    """The reports that told something new, in the order in which they came."""
    runs = _runs({(ids[_key(one)], one.check_in_id) for one in check_ins})
    told, changed = [], set()
    for one in check_ins:
        key = ids[_key(one)], one.check_in_id
        run = after(runs.get(key), one)
        if run is not None:
            runs[key] = run
            changed.add(key)
            told.append(one)
    rows_of(_UPSERT_RUNS, [_row(key, runs[key]) for key in sorted(changed)])
    return told


def _runs(keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], Run]:
    rows = rows_of(
        "SELECT c.heartbeat_id, c.check_in_id, c.status, c.started_at, c.finished_at, c.duration_s "
        "FROM health_checkin c JOIN jsonb_to_recordset(%s::jsonb) AS t(h bigint, i text) "
        "ON c.heartbeat_id = t.h AND c.check_in_id = t.i",
        [{"h": heartbeat_id, "i": check_in_id} for heartbeat_id, check_in_id in keys],
    )
    return {(heartbeat_id, check_in_id): Run(*facts) for heartbeat_id, check_in_id, *facts in rows}


_UPSERT_RUNS = """
INSERT INTO health_checkin (heartbeat_id, check_in_id, status, started_at, finished_at, duration_s)
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS t(heartbeat_id bigint, check_in_id text, status text,
  started_at timestamptz, finished_at timestamptz, duration_s double precision)
ON CONFLICT (heartbeat_id, check_in_id) DO UPDATE SET status = excluded.status, started_at = excluded.started_at,
  finished_at = excluded.finished_at, duration_s = excluded.duration_s
"""


def _row(key: tuple[int, str], run: Run) -> dict[str, Any]:
    return {"heartbeat_id": key[0], "check_in_id": key[1], **msgspec.structs.asdict(run)}


# --- What the job last said ---------------------------------------------------------------------------------------
# The latest report speaks for the job: two drains may bring them in any order.
_TOUCH = """
UPDATE health_heartbeat h SET
  last_status = CASE WHEN t.at >= h.last_check_in_at THEN t.status ELSE h.last_status END,
  last_check_in_at = greatest(h.last_check_in_at, t.at), last_ok_at = greatest(h.last_ok_at, t.ok_at)
FROM jsonb_to_recordset(%s::jsonb) AS t(id bigint, status text, at timestamptz, ok_at timestamptz) WHERE h.id = t.id
"""
# Some SDKs say it only as a run begins, and that report may come after the one of its end.
_PLAN = """
UPDATE health_heartbeat h SET schedule = t.schedule
FROM jsonb_to_recordset(%s::jsonb) AS t(id bigint, at timestamptz, schedule jsonb)
WHERE h.id = t.id AND h.schedule <> t.schedule AND (t.at >= h.last_check_in_at OR h.schedule = '{}')
"""


def _touch_heartbeats(told: Sequence[NewCheckIn], ids: dict[Key, int]) -> None:
    by_job: dict[int, list[NewCheckIn]] = {}
    for one in told:
        by_job.setdefault(ids[_key(one)], []).append(one)
    rows_of(_TOUCH, [_touched(pk, by_job[pk]) for pk in sorted(by_job)])


def _touched(pk: int, told: Sequence[NewCheckIn]) -> dict[str, Any]:
    last = max(told, key=lambda one: one.received_at)
    ok_at = max((one.received_at for one in told if one.status == OK), default=None)
    return {"id": pk, "status": last.status, "at": last.received_at, "ok_at": ok_at}


def _plan_heartbeats(known: Sequence[NewCheckIn], ids: dict[Key, int]) -> None:
    """The schedule that each job sent last, also with a report that tells nothing new of its run."""
    said = {ids[_key(one)]: one for one in sorted(known, key=lambda one: one.received_at) if one.schedule}
    rows_of(
        _PLAN,
        [{"id": pk, "at": one.received_at, "schedule": one.schedule} for pk, one in sorted(said.items())],
    )


def forget_check_ins(*, now: datetime) -> int:
    """Drop runs that began more than KEPT_FOR ago, some thousands at a time."""
    old = CheckIn.objects.filter(started_at__lt=now - KEPT_FOR).order_by("started_at").values("pk")
    return CheckIn.objects.filter(pk__in=old[:_FORGET_AT_ONCE]).delete()[0]
