"""Error groups and their events in the admin."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReadOnlyMixin, ReasonForm
from apps.core.paging import COUNT_CAP
from apps.errors import queries, services
from apps.errors.models import ErrorGroup, GroupStatus, UserReport

MAY = "errors.resolve_errorgroup"


class NotesForm(ReasonForm):
    """What was done about it; may stay empty."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False
        self.fields["reason"].label = "Notes"


class StatusFilter(admin.SimpleListFilter):
    """Unresolved unless asked otherwise: that is the list people work from."""

    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Words of the filter."""
        return [("regressed", "Regressed"), ("resolved", "Resolved"), ("ignored", "Ignored"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Django's "All" is our default, unresolved."""
        for choice in super().choices(changelist):
            yield (
                {**choice, "display": "Unresolved"}
                if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name])
                else choice
            )

    def queryset(self, request: HttpRequest, queryset: QuerySet[ErrorGroup]) -> QuerySet[ErrorGroup]:
        """Narrow."""
        value = self.value()
        if value == "all":
            return queryset
        if value == "regressed":
            return queryset.filter(status=GroupStatus.UNRESOLVED, regressed_at__isnull=False)
        return queryset.filter(status=value or GroupStatus.UNRESOLVED)


def _pressed(service: Any, **fixed: Any) -> Any:
    """A button's call: the group and the actor go to the service."""

    def call(group: ErrorGroup, actor: Any, reason: str | None = None) -> None:
        given = {} if reason is None else {fixed.get("_reason", "reason"): reason}
        service(
            group=group, actor=actor, **given, **{k: v() for k, v in fixed.items() if not k.startswith("_")}
        )

    return call


@admin.register(ErrorGroup)
class ErrorGroupAdmin(ButtonsMixin, FastListMixin, AuditedAdmin):
    """The list people work from, and the page of one group with its latest event."""

    list_display = ("title", "component", "severity", "status", "last_seen", "event_count", "user_count")
    list_select_related = ("component", "project", "assignee")
    list_filter = (
        StatusFilter,
        "severity",
        ("project", admin.RelatedOnlyFieldListFilter),
        ("component", admin.RelatedOnlyFieldListFilter),
    )
    search_fields = ("title",)
    sortable_by = ("last_seen",)
    ordering = ("-last_seen",)
    change_form_template = "admin/errors/errorgroup/change_form.html"
    buttons = (
        Button("resolve", "Resolve", MAY, _pressed(services.resolve_group, now=timezone.now, _reason="notes"),
               lambda g: g.status != GroupStatus.RESOLVED, tone="primary", form=NotesForm),
        Button("take", "Take it", MAY, _pressed(services.take_group),
               lambda g: g.status == GroupStatus.UNRESOLVED and g.assignee_id is None),
        Button("ignore", "Ignore", MAY, _pressed(services.ignore_group),
               lambda g: g.status == GroupStatus.UNRESOLVED, form=NotesForm),
        Button("reopen", "Reopen", MAY, _pressed(services.reopen_group), lambda g: g.status != GroupStatus.UNRESOLVED),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Groups come from events."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only by the buttons."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list with its sentence and a spark line a row."""
        response = super().changelist_view(request, extra_context)
        shown = response.context_data if isinstance(response, TemplateResponse) else None
        changelist = shown and shown.get("cl")
        if shown and changelist:
            rows = list(changelist.result_list)
            found = queries.sparks([group.pk for group in rows], timezone.now())
            for group in rows:
                group.spark = found[group.pk]
            changelist.result_list = rows
            shown["lede"] = _lede(changelist.result_count)
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The group with one of its events: ?event=<id>, else the latest."""
        group = self.get_object(request, object_id)
        if group is not None and not self.has_view_permission(request, group):
            raise PermissionDenied
        page = group and queries.group_page(
            group=group, event_id=_event_id(request.GET.get("event", "")), now=timezone.now()
        )
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "page": page})


def _event_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _lede(count: int) -> str:
    shown = f"{COUNT_CAP:,}+" if count > COUNT_CAP else f"{count:,}"
    return (
        "No error groups here."
        if not count
        else f"{shown} error group{'s' if count != 1 else ''}, latest first."
    )


@admin.register(UserReport)
class UserReportAdmin(FastListMixin, ReadOnlyMixin):
    """What users said, latest first, whether or not it is about a failure that is known."""

    list_display = ("received_at", "said", "error", "project", "release", "environment")
    list_select_related = ("group", "project")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "environment")
    search_fields = ("message",)
    sortable_by = ()

    @admin.display(description="message")
    def said(self, report: UserReport) -> str:
        """Its first words."""
        return report.message[:200]

    @admin.display(description="error", empty_value="–")
    def error(self, report: UserReport) -> SafeString | None:
        """The error that was met, if it is known."""
        if report.group is None:
            return None
        page = reverse("admin:errors_errorgroup_change", args=[report.group.pk])
        return format_html('<a href="{}">{}</a>', page, report.group)
