"""Tracked events in the admin: the latest first, to look at what stands behind a figure."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import FastListMixin, ReadOnlyMixin
from apps.telemetry.known_events import EVENTS
from apps.telemetry.models import TrackedEvent
from apps.telemetry.reported import MAX_NAME


class NameFilter(admin.SimpleListFilter):
    """By name: the known ones, and any other by its address. A list of all names would read every row."""

    title, parameter_name = "event", "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Known names, and the one that is asked for."""
        asked = request.GET.get(self.parameter_name, "")[:MAX_NAME]
        names = sorted({*EVENTS, *([asked] if asked else [])})
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TrackedEvent]) -> QuerySet[TrackedEvent]:
        """Narrow."""
        return queryset.filter(name=self.value()) if self.value() else queryset


@admin.register(TrackedEvent)
class TrackedEventAdmin(FastListMixin, ReadOnlyMixin):
    """What applications tracked, as long as single events are kept."""

    list_display = ("occurred_at", "name", "severity", "project", "component", "duration_ms", "who")
    list_display_links = ("occurred_at", "name")
    list_select_related = ("project", "component")
    list_filter = (NameFilter,)
    sortable_by = ()
    ordering = ("-id",)
    fields = (
        "name", "severity", "project", "component", "occurred_at", "received_at", "duration_ms", "who", "sent",
        "event_id",
    )  # fmt: skip
    readonly_fields = ("who", "sent")

    @admin.display(description="user", empty_value="–")
    def who(self, event: TrackedEvent) -> str | None:
        """The start of the user's hash: enough to see that two are the same."""
        return event.user_hash[:12] or None

    @admin.display(description="data")
    def sent(self, event: TrackedEvent) -> SafeString:
        """The event's fields, one below the other."""
        text = json.dumps(event.data, ensure_ascii=False, indent=2)
        return format_html("<pre>{}</pre>", text)
