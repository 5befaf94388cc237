"""How long telemetry is kept: rows by day with their partitions, counters by their width."""

from datetime import datetime, timedelta

from django.conf import settings

from apps.core.ticks import TickReport
from apps.projects import retention

# Table and the column that an index of it leads with.
REQUEST_MINUTES = (("telemetry_requestminute", "minute"),)
MINUTES = (("telemetry_trackedminute", "minute"),)
HOURS = (
    ("telemetry_trackedhour", "hour"),
    ("telemetry_trackeduserday", "day"),
    ("telemetry_activeuserday", "day"),
    ("telemetry_requesthour", "hour"),
    ("telemetry_requestday", "day"),
    ("telemetry_sessionhour", "hour"),
    ("telemetry_sessionuserday", "day"),
)


def retain(now: datetime) -> TickReport:
    """The tick's work: counters past their time go, in small statements."""
    deleted = 0
    for tables, days in (
        (REQUEST_MINUTES, settings.REQUEST_RETENTION_DAYS),
        (MINUTES, settings.ROLLUP_MINUTE_RETENTION_DAYS),
        (HOURS, settings.ROLLUP_HOUR_RETENTION_DAYS),
    ):
        for table, column in tables:
            deleted += retention.delete_older(table=table, column=column, before=now - timedelta(days=days))
    return TickReport(said=f"{deleted} counters deleted")
