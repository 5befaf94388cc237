"""Silences, maintenance windows and rules between alerts in the admin: what a thing would mute now, and when next."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Case, Count, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.alerts.models import Alert, Suppression
from apps.alerts.services import Act
from apps.alerts.suppression import bundles, muting, occurrences, returning, services
from apps.alerts.suppression.forms import MergeForm, SilenceForm, SuppressionForm
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin
from apps.core.templatetags.portal import badge

SHOWN = 20


def _end(row: Suppression, actor: Any) -> str:
    ended = services.end(row=row, now=timezone.now(), actor=actor)
    return "Ended; what it muted pages again." if ended else "It had ended already."


@admin.register(Suppression)
class SuppressionAdmin(ButtonsMixin, AuditedAdmin):
    """What keeps alerts from paging. What has ended goes to the end of the list."""

    form = SuppressionForm
    list_display = ("reason", "kind", "now", "matchers", "mutes", "starts_at", "ends_at", "created_by_name")
    list_filter = ("kind", "repeats")
    search_fields = ("reason", "matchers", "created_by_name")
    change_form_template = "admin/alerts/suppression/change_form.html"
    fieldsets = (
        (None, {"fields": ("kind", "matchers", "reason")}),
        ("When", {"fields": ("starts_at", "ends_at", "until_resolved", "repeats", "windows", "zone")}),
        ("Rules between alerts", {"fields": ("source_matchers", "equal")}),
    )
    buttons = (
        Button("end", "End now", "alerts.change_suppression", _end, offered=lambda row: row.ended_at is None),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Suppression]:
        """With the number of alerts that each mutes now."""
        muting_now = Count("muted", filter=Q(muted__lifted_at=None), distinct=True)
        return super().get_queryset(request).annotate(muted_now=muting_now)

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """What is over at the end."""
        past = Q(ended_at__isnull=False) | Q(ends_at__lte=timezone.now())
        return (Case(When(past, then=1), default=0).asc(), "-starts_at", "-pk")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What has ended is a record."""
        return (obj is None or obj.ended_at is None) and super().has_change_permission(request, obj)

    @admin.display(description="state")
    def now(self, row: Suppression) -> SafeString:
        """In force, to come, or over."""
        return _state_badge(row)

    @admin.display(description="mutes now", ordering="muted_now")
    def mutes(self, row: Any) -> int:
        """Open alerts."""
        return int(row.muted_now)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service, which lets it take effect and writes the audit record."""
        write = services.change if change else services.create
        write(row=obj, now=timezone.now(), actor=request.user)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The service has done it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The service has done it."""

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """With a preview of what is in the form, when that is asked for."""
        return self._previewed(request, None) or super().add_view(request, form_url, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """With what it mutes now and when it is in force next."""
        row = self.get_object(request, unquote(object_id))
        if answer := self._previewed(request, row):
            return answer
        shown = preview_context(row) if row else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def _previewed(self, request: HttpRequest, row: Suppression | None) -> HttpResponse | None:
        """A page of its own, from which one goes back to the form; nothing is saved."""
        if request.method != "POST" or "_preview" not in request.POST:
            return None
        may = self.has_change_permission(request, row) if row else self.has_add_permission(request)
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)
        if not may or not form.is_valid():
            return None  # the form's own view answers, with what is wrong
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "What this would do",
            **preview_context(form.instance), "written": form.instance,
        }  # fmt: skip
        return render(request, "admin/alerts/suppression/preview.html", context)


def _state_badge(row: Suppression) -> SafeString:
    at = timezone.now()
    if row.ended_at is not None or (row.ends_at is not None and row.ends_at <= at):
        return badge("disabled", "Over")
    try:
        span = occurrences.now_in(muting.written_of(row).window, at)
    except ValueError:
        return badge("critical", "Cannot be read")
    return badge("warning", "In force") if span else badge("pending", "To come")


def preview_context(row: Suppression) -> dict[str, Any]:
    """`preview_alerts` (at most 20), `preview_count`, `preview_spans`, and `preview_refusal` if it cannot be read."""
    try:
        alerts, spans = muting.preview(row, timezone.now())
    except ValueError as refusal:
        return {"preview_refusal": str(refusal)}
    return {
        "preview_alerts": alerts[:SHOWN],
        "preview_count": len(alerts),
        "preview_spans": spans,
        "preview": True,
    }


# --- On alerts --------------------------------------------------------------------------------------------
def with_reasons(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    """One query more for a whole list."""
    return alerts.prefetch_related("suppressions")


def in_words(alert: Any) -> str:
    """Every reason in force with by whom and why; empty when it pages."""
    return format_html_join(
        mark_safe("<br>"), "{} {} ({})",
        ((badge("disabled", row.get_kind_display()), row.reason, row.by) for row in alert.reasons_now),
    )  # fmt: skip


def _silence(alert: Alert, actor: Any, reason: str, until: Any) -> str:
    services.silence_alert(alert=alert, reason=reason, until=until, now=timezone.now(), actor=actor)
    return "Silenced; it does not page, and its resolve still comes through."


def _merge(alert: Alert, actor: Any, parent: Alert) -> str:
    bundles.merge(alert=alert, parent=parent, now=timezone.now(), actor=actor)
    return f"Merged under {parent}; that one pages for both."


def _take_out(alert: Alert, actor: Any) -> str:
    out = bundles.unmerge(alert=alert, now=timezone.now(), actor=actor)
    return "It pages for itself again." if out else "It was under no other alert."


def _act(actor: Any) -> Act:
    return Act(by=actor.get_username(), at=timezone.now(), via="admin", actor=actor)


def _give_back(alert: Alert, actor: Any) -> str:
    changed = returning.unacknowledge(alert=alert, act=_act(actor), epoch=alert.epoch)
    return "Given back; it pages again." if changed else "It fires already."


def _reopen(alert: Alert, actor: Any) -> str:
    changed = returning.reopen(alert=alert, act=_act(actor), epoch=alert.epoch)
    return "Reopened; it pages again." if changed else "It is open already."


WORKS = "alerts.acknowledge_alert"
ALERT_BUTTONS = (
    Button("silence", "Silence…", "alerts.add_suppression", _silence, form=SilenceForm,
           offered=lambda alert: alert.state != "resolved"),
    Button("merge", "Merge…", WORKS, _merge, form=MergeForm, offered=lambda alert: alert.state != "resolved"),
    Button("unmerge", "Take out", WORKS, _take_out,
           offered=lambda alert: alert.suppressions.filter(lifted_at=None, kind__in=bundles.UNDER, slot=0).exists()),
    Button("unacknowledge", "Give back", WORKS, _give_back, offered=lambda alert: alert.state == "acknowledged"),
    Button("reopen", "Reopen", WORKS, _reopen, offered=lambda alert: alert.state == "resolved"),
)  # fmt: skip
