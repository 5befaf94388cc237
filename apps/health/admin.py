"""Jobs that report, in the admin: facts to look at."""

from typing import Any

from django.contrib import admin

from apps.core.admin import FastListMixin, ReadOnlyMixin
from apps.health.models import CheckIn, Heartbeat


@admin.register(Heartbeat)
class HeartbeatAdmin(FastListMixin, ReadOnlyMixin):
    """Jobs, the one that reported last first."""

    list_display = ("slug", "environment", "project", "last_status", "last_check_in_at", "last_ok_at", "due")
    list_select_related = ("project",)
    list_filter = ("last_status", "environment", ("project", admin.RelatedOnlyFieldListFilter))
    search_fields = ("slug",)
    sortable_by = ()

    @admin.display(description="schedule")
    def due(self, heartbeat: Heartbeat) -> str:
        """When it should run, in the words of its sender."""
        return _words(heartbeat.schedule)


def _words(schedule: dict[str, Any]) -> str:
    """`0 3 * * * Europe/Vienna` or `every 10 minute`; a dash where the job never said."""
    when = schedule.get("schedule", {})
    if when.get("type") == "crontab":
        return f"{when['value']} {schedule.get('timezone', 'UTC')}"
    return f"every {when['value']} {when['unit']}" if when.get("type") == "interval" else "–"


@admin.register(CheckIn)
class CheckInAdmin(FastListMixin, ReadOnlyMixin):
    """Runs, the latest first."""

    list_display = ("started_at", "heartbeat", "status", "finished_at", "duration_s")
    list_select_related = ("heartbeat",)
    list_filter = ("status", ("heartbeat", admin.RelatedOnlyFieldListFilter))
    sortable_by = ()
