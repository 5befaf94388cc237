"""The groups with the most events."""

from apps.errors import analytics
from apps.errors.analytics import TopGroup
from apps.errors.models import ErrorGroup
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope

SHOWN = 10


def ask(scope: Scope) -> Answer:
    """Most events first, each with what it had in as long a time before."""
    start = scope.hours_from
    found = analytics.top_groups(start, scope.end, scope.now, scope.keys, SHOWN + 1)
    series = analytics.group_series([t.group.pk for t in found], start, scope.end, scope.now)
    rows = [_row(top, scope, series[top.group.pk]) for top in found[:SHOWN]]
    if not rows:
        return Answer([])
    new = sum(row["mark"] == "new" for row in rows)
    back = sum(row["mark"] == "regressed" for row in rows)
    marks = [words for n, words in ((new, f"{new} new"), (back, f"{back} came back")) if n]
    sentence = f"{found[0].group.title[:120]} leads with {found[0].n:,} events."
    if marks:
        sentence += f" Of these groups, {' and '.join(marks)} in the range."
    return Answer(rows, sentence, more=len(found) > SHOWN)


def mark_of(group: ErrorGroup, scope: Scope) -> str:
    """What happened to a group in the range: regressed, new or nothing."""
    if group.regressed_at is not None and scope.start <= group.regressed_at < scope.end:
        return "regressed"
    return "new" if scope.start <= group.first_seen < scope.end else ""


def _row(top: TopGroup, scope: Scope, series: list[int]) -> Row:
    group = top.group
    return {
        "group": group.pk,
        "title": group.title,
        "mark": mark_of(group, scope),
        "events": top.n,
        "before": top.before,
        "users": group.user_count,
        "trend": series,
        "severity": group.severity,
        "component": group.component.name,
        "last_seen": group.last_seen,
    }


register(
    Block(
        name="top-errors",
        title="Top errors",
        tab="errors",
        columns=(
            Column("group", "Group id", "count", shown=False),
            Column("title", "Error", "group"),
            Column("mark", "Mark", "badge", shown=False),
            Column("events", "Events", "count"),
            Column("before", "Before", "count", "in as long a time before the range"),
            Column("users", "Users ever", "count", "distinct, since the group was first seen"),
            Column("trend", "Over the range", "spark"),
            Column("severity", "Severity", "badge", shown=False),
            Column("component", "Component", shown=False),
            Column("last_seen", "Last seen", "time"),
        ),
        ask=ask,
        how="Counters of each group by the hour, and by the UTC day for whole days, so a range of less than an hour is "
        "counted from the beginning of its hour. New: first seen in the range. Regressed: came back in it after it "
        "had been resolved. Users are those of the whole life of the group.",
        empty=(
            "No errors in this range",
            "The groups with the most events will stand here, with what is new.",
        ),
    )
)
