"""The telemetry room."""

from django.apps import AppConfig
from django.conf import settings

SEEN_DAYS = 4  # the 72 h that a report may be late, by whole days


class TelemetryConfig(AppConfig):
    """Owns tracked events, requests, sessions and active users; judges none of them."""

    name = "apps.telemetry"
    label = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Rows that are only kept for a while are cut by day; rollups are pruned by a tick."""
        from apps.core import partitions

        for table, keep_days in (
            ("telemetry_trackedevent", settings.TRACKED_RETENTION_DAYS),
            ("telemetry_seenreport", SEEN_DAYS),
            ("telemetry_sessionstate", SEEN_DAYS),
        ):
            partitions.register(partitions.Partitioned(table, "day", keep_days=keep_days))
