"""What a job says of its runs: read from what SDKs send, and what several reports of one run come to."""

import math
import re
from datetime import datetime, timedelta
from typing import Any

import msgspec

from apps.core.refusal import Refused
from apps.core.scrub import scrub_text
from apps.projects.event_id import parse_event_id
from apps.projects.intake import Intake

IN_PROGRESS, OK, ERROR = "in_progress", "ok", "error"
STATUSES = (IN_PROGRESS, OK, ERROR)
MAX_SLUG = 64
MAX_ENVIRONMENT = 64
DEFAULT_ENVIRONMENT = "production"
_MAX_DURATION_S = 366 * 86_400.0
_NOT_IN_SLUGS = re.compile(r"[^a-z0-9_-]+")
_UNITS = frozenset(("minute", "hour", "day", "week", "month", "year"))
_MAX_MINUTES = 366 * 24 * 60


class NewCheckIn(msgspec.Struct, kw_only=True):
    """One report of one run. `started_at` is the best that is known; `finished_at` None while it runs.

    `schedule` is {schedule: {type, value, unit?}, checkin_margin, max_runtime, timezone}, margin and runtime in
    minutes, each only where the sender said it; empty: nothing was said.
    """

    project_id: int
    slug: str
    environment: str
    check_in_id: str
    status: str
    received_at: datetime
    started_at: datetime
    finished_at: datetime | None = None
    duration_s: float | None = None
    schedule: dict[str, Any] = {}


def from_sentry(payload: Any, intake: Intake) -> NewCheckIn:
    """One decoded check_in. Refused (400) without a name, a known status or an id that is one; of a schedule, what
    cannot be meant is left out: the job did report.
    """
    if not isinstance(payload, dict):
        raise Refused("not_an_object", "a check-in is a JSON object", "check_in")
    status = payload.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise Refused("invalid_choice", f"one of {', '.join(STATUSES)}", "status")
    took = None if status == IN_PROGRESS else _duration(payload.get("duration"))
    at = intake.received_at
    return NewCheckIn(
        project_id=intake.project_id,
        slug=slug_of(payload.get("monitor_slug")),
        environment=_environment(payload.get("environment")),
        check_in_id=parse_event_id(payload.get("check_in_id"), "check_in_id") or intake.event_id,
        status=status,
        received_at=at,
        started_at=at - timedelta(seconds=took or 0),
        finished_at=None if status == IN_PROGRESS else at,
        duration_s=took,
        schedule=schedule_of(payload.get("monitor_config")),
    )


def slug_of(name: object) -> str:
    """The job's name in lower-case letters, digits, hyphens and underscores. Refused if nothing is left."""
    text = scrub_text(name, 200).lower() if isinstance(name, str) else ""
    slug = _NOT_IN_SLUGS.sub("-", text)[:MAX_SLUG].strip("-")
    if not slug:
        raise Refused("required", "the name of the job", "monitor_slug")
    return slug


def _environment(name: object) -> str:
    text = scrub_text(name, 200).strip() if isinstance(name, str) else ""
    return text[:MAX_ENVIRONMENT] or DEFAULT_ENVIRONMENT


def _duration(seconds: object) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if math.isfinite(seconds) and 0 <= seconds <= _MAX_DURATION_S else None


def schedule_of(config: object) -> dict[str, Any]:
    """What of a monitor_config can be meant: bounded texts and whole minutes."""
    if not isinstance(config, dict):
        return {}
    kept: dict[str, Any] = {}
    when = _when(config.get("schedule"))
    if when:
        kept["schedule"] = when
    for name in ("checkin_margin", "max_runtime"):
        if type(config.get(name)) is int and 0 <= config[name] <= _MAX_MINUTES:
            kept[name] = config[name]
    zone = config.get("timezone")
    if isinstance(zone, str) and 0 < len(zone) <= 64 and zone.isprintable():
        kept["timezone"] = zone
    return kept


def _when(schedule: object) -> dict[str, Any]:
    """{type: crontab, value: text} or {type: interval, value: n, unit}; empty for anything else."""
    if not isinstance(schedule, dict):
        return {}
    kind, value, unit = (schedule.get(name) for name in ("type", "value", "unit"))
    if kind == "crontab" and isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable():
        return {"type": kind, "value": value}
    is_unit = isinstance(unit, str) and unit in _UNITS
    if kind == "interval" and type(value) is int and 0 < value <= _MAX_MINUTES and is_unit:
        return {"type": kind, "value": value, "unit": unit}
    return {}


class Run(msgspec.Struct, frozen=True):
    """What is known of one run; `duration_s` None where nobody can tell."""

    status: str
    started_at: datetime
    finished_at: datetime | None = None
    duration_s: float | None = None


def after(run: Run | None, report: NewCheckIn) -> Run | None:
    """The run once this report is known; None if it tells nothing new. The order of reports does not matter: a run
    began with the earliest, its end is the earliest that was reported, and an end is never undone.
    """
    if run is None:
        return _run(report, report.started_at)
    started = min(run.started_at, report.started_at)
    if report.finished_at and (run.finished_at is None or report.finished_at < run.finished_at):
        return _run(report, started)
    if started == run.started_at:
        return None
    took = run.duration_s if run.duration_s is not None else _between(started, run.finished_at)
    return msgspec.structs.replace(run, started_at=started, duration_s=took)


def _run(report: NewCheckIn, started_at: datetime) -> Run:
    said = report.duration_s
    took = said if said is not None else _between(started_at, report.finished_at)
    return Run(report.status, started_at, report.finished_at, took)


def _between(start: datetime, end: datetime | None) -> float | None:
    """Seconds; None while it runs, and where only its end is known."""
    return (end - start).total_seconds() if end and start < end else None
