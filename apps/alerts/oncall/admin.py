"""Schedules in the admin: layers, people and overrides; and on a schedule's page who has it in the next 14 days."""

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.alerts.models.oncall import CalendarLink, Layer, LayerMember, Override, PersonZone, Schedule
from apps.alerts.oncall import page as oncall_page
from apps.alerts.oncall import services as oncall
from apps.alerts.oncall.forms import LayerForm, OverrideForm, ScheduleForm, StandInForm
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin

DAYS = 14


class LayerInline(admin.StackedInline):
    """The rotations of a schedule; the people of one are on its own page."""

    model = Layer
    form = LayerForm
    extra = 0
    show_change_link = True
    fields = (
        ("name", "order"), ("starts_on", "handover_at"), ("every", "unit"), "windows", ("ends_on", "zone"),
    )  # fmt: skip


class OverrideInline(admin.TabularInline):
    """Who stands in, now or later; what is over is in the audit log."""

    model = Override
    form = OverrideForm
    extra = 0
    autocomplete_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Override]:
        """Not yet over."""
        return super().get_queryset(request).filter(ends_at__gt=timezone.now()).order_by("starts_at")


def _stand_in(schedule: Schedule, actor: Any, **given: Any) -> str:
    override = oncall.add_override(schedule=schedule, actor=actor, **given)
    return f"{override.user.get_full_name() or override.user.get_username()} stands in."


@admin.register(Schedule)
class ScheduleAdmin(ButtonsMixin, AuditedAdmin):
    """Who is on call when."""

    form = ScheduleForm
    list_display = ("name", "zone", "team", "layer_count", "coming", "handover_mail")
    list_select_related = ("team",)
    search_fields = ("name",)
    autocomplete_fields = ("team",)
    fields = ("name", "description", "zone", "team", "handover_mail")
    inlines = (LayerInline, OverrideInline)
    change_form_template = "admin/alerts/schedule/change_form.html"
    buttons = (
        Button("standin", "Stand in", "alerts.add_override", _stand_in, tone="primary", form=StandInForm),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """With the number of layers, and of overrides that are not over."""
        coming = Count("overrides", filter=Q(overrides__ends_at__gt=timezone.now()), distinct=True)
        return super().get_queryset(request).annotate(layered=Count("layers", distinct=True), standing=coming)

    @admin.display(description="layers", ordering="layered")
    def layer_count(self, schedule: Any) -> int:
        """How many."""
        return int(schedule.layered)

    @admin.display(description="overrides to come", ordering="standing")
    def coming(self, schedule: Any) -> int:
        """How many are running or to come."""
        return int(schedule.standing)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """With the next 14 days, in the reader's zone or the schedule's."""
        schedule = self.get_object(request, unquote(object_id))
        shown = _sight_context(request, schedule) if schedule else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})


def _sight_context(request: HttpRequest, schedule: Schedule) -> dict[str, Any]:
    here = timezone.get_current_timezone()
    there = ZoneInfo(schedule.zone)
    of_schedule = request.GET.get("zone") == "schedule"
    zone = there if of_schedule or not isinstance(here, ZoneInfo) else here
    sight = oncall_page.sight(schedule, now=timezone.now(), days=DAYS, zone=zone)
    return {
        "sight": sight, "sight_zone": zone.key, "sight_zones": here != there, "of_schedule": of_schedule,
        "sight_days": DAYS,
    }  # fmt: skip


class MemberInline(admin.TabularInline):
    """People in their turns."""

    model = LayerMember
    extra = 1
    autocomplete_fields = ("user",)


@admin.register(Layer)
class LayerAdmin(AuditedAdmin):
    """One rotation and its people."""

    form = LayerForm
    list_display = ("name", "schedule", "order", "every", "unit", "starts_on", "ends_on")
    list_select_related = ("schedule",)
    search_fields = ("name", "schedule__name")
    autocomplete_fields = ("schedule",)
    fields = (
        "schedule", "name", "order", "starts_on", "handover_at", "every", "unit", "windows", "ends_on", "zone",
    )  # fmt: skip
    inlines = (MemberInline,)
    may_delete = True


@admin.register(PersonZone)
class PersonZoneAdmin(AuditedAdmin):
    """Where people live by the clock."""

    list_display = ("user", "zone")
    list_select_related = ("user",)
    autocomplete_fields = ("user",)
    may_delete = True


@admin.register(CalendarLink)
class CalendarLinkAdmin(ButtonsMixin, AuditedAdmin):
    """Secret links, seen and revoked here; each is made by whoever will use it."""

    list_display = ("__str__", "prefix", "created_by", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user", "schedule", "team")
    readonly_fields = (
        "user", "schedule", "team", "prefix", "created_by", "created_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    buttons = (
        Button(
            "revoke", "Revoke", "alerts.change_calendarlink",
            lambda link, actor: _revoke(link, actor), offered=lambda link: link.revoked_at is None, tone="danger",
        ),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The secret is shown once, to who will use it."""
        return False


def _revoke(link: CalendarLink, actor: Any) -> str:
    oncall.revoke_link(link=link, now=timezone.now(), actor=actor)
    return "Revoked."
