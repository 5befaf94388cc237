"""What the pages of error groups read: a fixed number of queries, and never a count of raw events."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.core.paging import COUNT_CAP
from apps.errors.models import (
    Attachment,
    ErrorEvent,
    ErrorGroup,
    ErrorMinute,
    GroupHour,
    GroupTag,
    UserReport,
)
from apps.errors.retention import days_kept
from apps.errors.sampled import sampled_at

HOUR = timedelta(hours=1)
SPARK_HOURS = 24
PAGE_DAYS = 30
TAG_VALUES_SHOWN = 6
REPORTS_SHOWN = 10


@dataclass(frozen=True)
class Frame:
    """One frame of a stack as the page draws it; `lines` are (number, text, is_the_failing_one)."""

    function: str
    file: str
    line: int | None
    in_app: bool
    lines: list[tuple[int | None, str, bool]]
    variables: list[tuple[str, str]]


@dataclass(frozen=True)
class Raised:
    """One exception of a chain, frames with the failing one first."""

    type: str
    value: str
    handled: bool | None
    frames: list[Frame]
    left_out: int


@dataclass
class GroupPage:
    """Everything on the page of a group."""

    event: ErrorEvent | None
    previous_id: UUID | None
    next_id: UUID | None
    raised: list[Raised]
    breadcrumbs: list[dict[str, Any]]
    request: list[tuple[str, str]]
    contexts: list[tuple[str, list[tuple[str, str]]]]
    tags: list[tuple[str, list[tuple[str, int, float]]]]
    last_day: list[int]
    last_month: list[int]
    reports: list[UserReport]
    report_count: int
    attachments: list[Attachment]
    dropped_after_days: int | None = None
    sampled_at: datetime | None = None
    days: list[datetime] = field(default_factory=list)


def sparks(group_ids: Iterable[int], now: datetime) -> dict[int, list[int]]:
    """Events per hour of the last 24 h, oldest first, for every group of a list: one query."""
    start = now.replace(minute=0, second=0, microsecond=0) - HOUR * (SPARK_HOURS - 1)
    found: dict[int, list[int]] = defaultdict(lambda: [0] * SPARK_HOURS)
    rows = GroupHour.objects.filter(group_id__in=list(group_ids), hour__gte=start)
    for group_id, hour, n in rows.values_list("group_id", "hour", "n"):
        index = int((hour - start) / HOUR)
        if 0 <= index < SPARK_HOURS:
            found[group_id][index] = n
    return found


def group_page(*, group: ErrorGroup, event_id: UUID | None, now: datetime) -> GroupPage:
    """The group's page, showing one event: the given one if it is of this group and still kept, else the latest."""
    events = ErrorEvent.objects.filter(group=group)
    wanted = [pk for pk in (event_id, group.last_event_id) if pk]
    found = events.in_bulk(wanted)
    event = next((found[pk] for pk in wanted if pk in found), None)
    previous = (
        events.filter(pk__lt=event.pk).order_by("-pk").values_list("pk", flat=True).first() if event else None
    )
    following = (
        events.filter(pk__gt=event.pk).order_by("pk").values_list("pk", flat=True).first() if event else None
    )
    payload = event.payload if event else {}
    return GroupPage(
        event=event,
        previous_id=previous,
        next_id=following,
        raised=[_raised(e) for e in reversed(payload.get("exceptions") or []) if isinstance(e, dict)],
        breadcrumbs=[b for b in reversed(payload.get("breadcrumbs") or []) if isinstance(b, dict)][:50],
        request=_request(payload.get("request") or {}),
        contexts=[(name, _pairs(value)) for name, value in sorted((payload.get("contexts") or {}).items())],
        tags=_tags(group),
        last_day=sparks([group.pk], now)[group.pk],
        sampled_at=sampled_at(payload),
        reports=list(UserReport.objects.filter(group=group).order_by("-received_at")[:REPORTS_SHOWN]),
        report_count=UserReport.objects.filter(group=group).order_by()[: COUNT_CAP + 1].count(),
        attachments=_attachments(event),
        dropped_after_days=None if event else _dropped_after(group, now),
        **_month(group, now),
    )


def _dropped_after(group: ErrorGroup, now: datetime) -> int | None:
    """Days after which the events of a group went; None if its last one should still be there."""
    days = days_kept(group.project)
    return days if group.last_seen < now - timedelta(days=days) else None


def _attachments(event: ErrorEvent | None) -> list[Attachment]:
    """The files that came beside the event."""
    if event is None:
        return []
    return list(
        Attachment.objects.filter(project_id=event.project_id, event_id=event.event_id).order_by("pk")
    )


def _month(group: ErrorGroup, now: datetime) -> dict[str, Any]:
    """Events per day of the last 30 days in UTC, oldest first, and those days."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=PAGE_DAYS - 1)
    counts = [0] * PAGE_DAYS
    rows = GroupHour.objects.filter(group=group, hour__gte=start).values_list("hour", "n")
    for hour, n in rows:
        index = (hour - start).days
        if 0 <= index < PAGE_DAYS:
            counts[index] += n
    return {"last_month": counts, "days": [start + timedelta(days=d) for d in range(PAGE_DAYS)]}


def _tags(group: ErrorGroup) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Keys with their most frequent values as (value, count, share of the key)."""
    by_key: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, value, n in (
        GroupTag.objects.filter(group=group).order_by("key", "-n").values_list("key", "value", "n")
    ):
        by_key[key].append((value, n))
    found = []
    for key, values in by_key.items():
        total = sum(n for _, n in values)
        found.append((key, [(value, n, n / total) for value, n in values[:TAG_VALUES_SHOWN]]))
    return found


def _raised(exception: dict[str, Any]) -> Raised:
    stack = exception.get("stacktrace") or {}
    mechanism = exception.get("mechanism") or {}
    frames = [_frame(f) for f in reversed(stack.get("frames") or []) if isinstance(f, dict)]
    return Raised(
        type=str(exception.get("type") or ""),
        value=str(exception.get("value") or ""),
        handled=mechanism.get("handled"),
        frames=frames,
        left_out=int(stack.get("left_out") or 0),
    )


def _frame(frame: dict[str, Any]) -> Frame:
    number = frame.get("lineno") if isinstance(frame.get("lineno"), int) else None
    before, after = _lines(frame.get("pre_context")), _lines(frame.get("post_context"))
    lines: list[tuple[int | None, str, bool]] = []
    if isinstance(frame.get("context_line"), str):
        first = number - len(before) if number is not None else None
        texts = [*before, frame["context_line"], *after]
        lines = [
            (None if first is None else first + i, text, i == len(before)) for i, text in enumerate(texts)
        ]
    return Frame(
        function=str(frame.get("function") or "?"),
        file=str(frame.get("filename") or frame.get("module") or frame.get("abs_path") or "?"),
        line=number,
        in_app=frame.get("in_app") is not False,
        lines=lines,
        variables=_pairs(frame.get("vars") or {}),
    )


def _lines(context: object) -> list[str]:
    return [str(line) for line in context][:10] if isinstance(context, list) else []


def _pairs(values: object) -> list[tuple[str, str]]:
    """A mapping as rows of text, whatever its values are."""
    if not isinstance(values, dict):
        return [("", str(values))]
    return [(str(key), value if isinstance(value, str) else repr(value)) for key, value in values.items()]


def _request(request: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(name.upper(), str(request[name])) for name in ("method", "url") if request.get(name)]
    fields = [pair for pair in request.get("query") or [] if isinstance(pair, list) and len(pair) == 2]
    rows += [(f"?{name}", str(value)) for name, value in fields if name]
    return rows + _pairs(request.get("headers") or {})


def errors_between(
    start: datetime, end: datetime, component_ids: Iterable[int] | None = None
) -> dict[str, int]:
    """Errors by severity in [start, end), from the minute counters."""
    rows = ErrorMinute.objects.filter(minute__gte=start, minute__lt=end)
    if component_ids is not None:
        rows = rows.filter(component_id__in=list(component_ids))
    found: dict[str, int] = defaultdict(int)
    for severity, n in rows.values_list("severity", "n"):
        found[severity] += n
    return dict(found)


def same_hour_on_days_before(project_id: int, hour: datetime, days: int) -> list[int]:
    """A project's errors in the hour that begins at `hour`, on each of so many days before: one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(m.n), 0)::bigint FROM generate_series(1, %s) AS back "
            "LEFT JOIN errors_errorminute m ON m.project_id = %s AND m.minute >= %s - make_interval(days => back) "
            "AND m.minute < %s - make_interval(days => back) GROUP BY back",
            [days, project_id, hour, hour + HOUR],
        )
        return [n for (n,) in cursor.fetchall()]
