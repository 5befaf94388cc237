"""Drills in the admin: the weekly plans, with a button to start one now, and how each drill ended."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.alerts.drills import services
from apps.alerts.models import Drill, DrillPlan, Watchdog
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReadOnlyMixin
from apps.core.templatetags.portal import badge

_BADGES = {
    Drill.State.RUNNING: "pending",
    Drill.State.ACKNOWLEDGED: "ok",
    Drill.State.UNANSWERED: "warning",
    Drill.State.UNSENT: "critical",
}


def state_badge(state: str) -> SafeString:
    """How a drill stands, as a badge."""
    return badge(_BADGES[Drill.State(state)], Drill.State(state).label)


class DrillPlanForm(forms.ModelForm):
    """A weekly drill."""

    class Meta:
        model = DrillPlan
        fields = ("policy", "user", "weekday", "at", "zone", "enabled")

    def clean_zone(self) -> str:
        """A zone of the IANA database."""
        zone = str(self.cleaned_data["zone"])
        if zone not in available_timezones():
            raise forms.ValidationError(f"Unknown time zone {zone[:64]!r}; write it as Europe/Berlin.")
        return zone


def _start(plan: DrillPlan, actor: Any) -> str:
    drill = services.start_drill(
        now=timezone.now(),
        by=actor.get_username(),
        policy=plan.policy,
        user=plan.user,
        actor=actor,
        plan=plan,
    )
    return f"{drill} has begun: who is paged should acknowledge within 15 minutes."


@admin.register(DrillPlan)
class DrillPlanAdmin(ButtonsMixin, AuditedAdmin):
    """When drills are held."""

    form = DrillPlanForm
    list_display = ("__str__", "enabled", "next_at", "last_drill")
    list_select_related = ("policy", "user")
    autocomplete_fields = ("policy", "user")
    readonly_fields = ("next_at",)
    fields = ("policy", "user", "weekday", "at", "zone", "enabled", "next_at")
    may_delete = True
    buttons = (Button("start", "Start a drill now", "alerts.start_drill", _start, tone="primary"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DrillPlan]:
        """With how the last one ended."""
        last = Drill.objects.filter(plan=OuterRef("pk")).order_by("-started_at").values("state")[:1]
        return super().get_queryset(request).annotate(last=Subquery(last))

    @admin.display(description="last drill")
    def last_drill(self, plan: Any) -> SafeString:
        """How it ended."""
        return state_badge(plan.last) if plan.last else badge("nodata", "None yet")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Whatever was changed, its next time is found anew by the tick."""
        obj.next_at = None
        super().save_model(request, obj, form, change)


@admin.register(Drill)
class DrillAdmin(FastListMixin, ReadOnlyMixin):
    """Drills and how they ended, the last one first."""

    list_display = ("started_at", "of", "how", "acked_by", "answered_after", "sent", "failed", "started_by")
    list_filter = ("state",)
    search_fields = ("of", "acked_by")
    list_select_related = ("alert",)
    ordering = ("-id",)
    fields = readonly_fields = (
        "of", "how", "started_at", "started_by", "acked_by", "answered_after", "sent", "failed", "ended_at", "pages",
    )  # fmt: skip

    @admin.display(description="state", ordering="state")
    def how(self, drill: Drill) -> SafeString:
        """Its state."""
        return state_badge(drill.state)

    @admin.display(description="answered after (s)")
    def answered_after(self, drill: Drill) -> str:
        """Seconds from its start to the acknowledgement."""
        return f"{(drill.acked_at - drill.started_at).total_seconds():.0f}" if drill.acked_at else "–"

    @admin.display(description="pages and receipts")
    def pages(self, drill: Drill) -> SafeString | str:
        """Where each page went."""
        if drill.alert_id is None:
            return "The alert is gone."
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:alerts_alert_change", args=[drill.alert_id]), drill.alert
        )


@admin.register(Watchdog)
class WatchdogAdmin(ReadOnlyMixin):
    """What the watchdog saw last."""

    list_display = ("state", "looked_at", "reported_at", "report_failure", "pinged_at", "ping_failure")
    list_display_links = None
    fields = (
        "looked_at",
        "watching_since",
        "wrong",
        "reported_at",
        "report_failure",
        "pinged_at",
        "ping_failure",
    )

    @admin.display(description="the pager")
    def state(self, row: Watchdog) -> SafeString:
        """On time or not."""
        return badge("critical", "Stuck") if row.wrong else badge("ok", "On time")
