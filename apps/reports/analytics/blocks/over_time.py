"""Errors over the range, by severity."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.utils import timezone

from apps.core.charts import Series
from apps.core.severity import RecordSeverity
from apps.core.wording import figure_words, zone_word
from apps.errors import analytics
from apps.reports.analytics.block import Answer, Block, Chart, Column, Figure, Row, register
from apps.reports.analytics.scope import DAY, HOUR, MINUTE, Scope

TONES = {RecordSeverity.CRITICAL: "sev1", RecordSeverity.MAJOR: "sev2", RecordSeverity.MINOR: "sev3"}
_STEPS = (MINUTE, HOUR, DAY)
MOST_COLUMNS = 80
HOW = "Sums of the counters by severity, which are written in the transaction that stores the events."


def step_of(scope: Scope) -> timedelta:
    """The width of a column: the shortest that needs no more than 80 of them and that was counted."""
    wide = scope.end - scope.start
    fits = [step for step in _STEPS if wide / step <= MOST_COLUMNS and (scope.by_minute or step > MINUTE)]
    return fits[0] if fits else DAY


def ask(scope: Scope) -> Answer:
    """A row for each column of the chart."""
    step = step_of(scope)
    moments = _moments(scope, step)
    counts: dict[datetime, dict[str, int]] = {at: defaultdict(int) for at in moments}
    for at, severity, n in analytics.over_time(scope.start, scope.end, scope.by_minute, scope.keys, step):
        counts[moments[_place(moments, at)]][severity] += n
    rows = [_row(at, counts[at]) for at in moments]
    total = sum(row["errors"] for row in rows)
    if not total:
        return Answer([])
    peak = max(rows, key=lambda row: row["errors"])
    sentence = (
        f"{figure_words(total)} errors, most of them at {_label(peak['at'], step)}: {peak['errors']:,}."
    )
    return Answer(rows, sentence, [_figure(total, rows)], _chart(rows, step, sentence))


def _moments(scope: Scope, step: timedelta) -> list[datetime]:
    """Where the columns begin; days begin at midnight UTC, so the first may be a part of one."""
    at, found = scope.start, []
    if step == DAY:
        at = at.replace(hour=0)
    while at < scope.end:
        found.append(at)
        at += step
    return found


def _place(moments: list[datetime], at: datetime) -> int:
    width = moments[1] - moments[0] if len(moments) > 1 else DAY
    return min(max(int((at - moments[0]) / width), 0), len(moments) - 1)


def _row(at: datetime, found: dict[str, int]) -> Row:
    by_severity = {severity.value.lower(): found[severity] for severity in RecordSeverity}
    return {"at": at, "errors": sum(by_severity.values()), **by_severity}


def _figure(total: int, rows: list[Row]) -> Figure:
    critical = sum(row["critical"] for row in rows)
    return Figure("errors", "Errors", total, "count", HOW, f"{critical:,} critical")


def _chart(rows: list[Row], step: timedelta, sentence: str) -> Chart:
    series = [
        Series(severity.label, [row[severity.value.lower()] for row in rows], TONES[severity])
        for severity in RecordSeverity
    ]
    return Chart(
        series, [_label(row["at"], step) for row in rows], f"Errors by severity over time. {sentence}"
    )


def _label(at: object, step: timedelta) -> str:
    assert isinstance(at, datetime)
    if step == DAY:
        return f"{at.day} {at:%b}"
    there = timezone.localtime(at)
    return f"{there.day} {there:%b %H:%M} {zone_word(there)}"


register(
    Block(
        name="errors-over-time",
        title="Errors over time",
        tab="errors",
        columns=(
            Column("at", "From (UTC)", "time"),
            Column("errors", "Errors", "count"),
            *(Column(s.value.lower(), s.label, "count") for s in RecordSeverity),
        ),
        ask=ask,
        how=HOW
        + " By the minute up to three hours, by the hour up to three days, else by the day (UTC); the first "
        "column may be a part of one.",
        empty=(
            "No errors in this range",
            "Errors of connected applications are counted here as they come in.",
        ),
    )
)
