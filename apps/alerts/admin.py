"""Rules in the admin; alerts with their buttons; the outbox and its receipts to read."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.alerts import channel_admin, expiry, measures, paging, policy_admin, services  # noqa: F401 - registers
from apps.alerts.doors import admin as doors_admin  # noqa: F401 - registers
from apps.alerts.drills import admin as drills_admin  # noqa: F401 - registers
from apps.alerts.forms import RuleForm
from apps.alerts.models import (
    Alert,
    AlertRule,
    Attempt,
    Escalation,
    Page,
)
from apps.alerts.oncall import admin as oncall_admin  # noqa: F401 - registers
from apps.alerts.policy_forms import SnoozeForm
from apps.alerts.rule_history import panel as rule_panel
from apps.alerts.services import Act
from apps.alerts.suppression import admin as suppression_admin
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReadOnlyMixin
from apps.core.templatetags.portal import badge


@admin.register(AlertRule)
class AlertRuleAdmin(AuditedAdmin):
    """What fires."""

    form = RuleForm
    list_display = ("name", "condition", "severity", "last_value", "firing", "pages", "enabled")
    list_filter = ("enabled", "severity")
    search_fields = ("name", "condition")
    autocomplete_fields = ("project", "component", "policy")
    list_select_related = ("policy",)
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled")}),
        ("When", {"fields": ("condition", "threshold", "window_s", "for_s", "minimum")}),
        ("Of what", {"fields": ("project", "component", "component_name", "record_severity", "matchers")}),
        (
            "Then",
            {
                "fields": (
                    "severity",
                    "policy",
                    "opens_incident",
                    "resolve_after_s",
                    "reopen_window_s",
                    "tags",
                )
            },
        ),
    )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """What was tried stands in the form, to be saved or not."""
        made = super().get_form(request, obj, change, **kwargs)
        tried = rule_panel.tried_values(request.GET) if request.method == "GET" else {}
        return type(made.__name__, (made,), {"tried": {**tried, "threshold": None}}) if tried else made

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """With what it would have done, for who may change rules."""
        rule = kwargs.get("obj") or AlertRule()
        if self.has_change_permission(request) or self.has_view_permission(request):
            context["past"] = rule_panel.panel(rule, request.GET)
            context["measures"] = list(measures.registry.values())
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What may be meant, but seldom is, is said once it is saved."""
        super().save_model(request, obj, form, change)
        for finding in getattr(form, "findings", ()):
            messages.warning(request, finding.text)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        """With the highest value seen at the last look, and the number of open alerts."""
        open_ = Count("alerts", filter=~Q(alerts__state="resolved"), distinct=True)
        return super().get_queryset(request).annotate(seen=Max("states__value"), open_alerts=open_)

    @admin.display(description="last value", ordering="seen")
    def last_value(self, rule: Any) -> str:
        """The highest of its subjects; a dash where there is no data."""
        return "–" if rule.seen is None else f"{rule.seen:g}"

    @admin.display(description="state", ordering="open_alerts")
    def firing(self, rule: Any) -> SafeString:
        """Firing, quiet, off; or nothing to judge by, which is no good news."""
        if not rule.enabled:
            return badge("disabled", "Off")
        if rule.open_alerts:
            return badge("firing", f"Firing ({rule.open_alerts})")
        return badge("nodata", "Nothing seen") if rule.seen is None else badge("ok", "Quiet")

    @admin.display(description="pages")
    def pages(self, rule: AlertRule) -> SafeString | str:
        """By which policy."""
        return str(rule.policy) if rule.policy else badge("critical", "Pages nobody")


class OpenFirst(admin.SimpleListFilter):
    """Open alerts unless others are asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Words of the list."""
        return [
            ("triggered", "Firing"),
            ("acknowledged", "Acknowledged"),
            ("resolved", "Resolved"),
            ("all", "All"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By state; an alert's own page is found whatever the filter."""
        if self.value() in ("triggered", "acknowledged", "resolved"):
            return queryset.filter(state=self.value())
        return queryset if self.value() else queryset.exclude(state="resolved")

    def choices(self, changelist: Any) -> Any:
        """The first choice is what is open, not everything."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": "Open"}


def _act(actor: Any) -> Act:
    return Act(by=actor.get_username(), at=timezone.now(), via="admin", actor=actor)


def _acknowledge(alert: Alert, actor: Any) -> str:
    changed = services.acknowledge(alert=alert, act=_act(actor), epoch=alert.epoch)
    if not changed:
        return "It had been acknowledged already."
    alert.refresh_from_db()
    return (
        "Acknowledged; nobody else is paged."
        if alert.state == "acknowledged"
        else ("Your acknowledgement counts. It fires on until everybody whom its step asks has acknowledged.")
    )


def _snooze(alert: Alert, actor: Any, until: Any) -> str:
    expiry.snooze(alert=alert, until=until, act=_act(actor), epoch=alert.epoch)
    return f"Snoozed; it fires again {until:%a %d %b %H:%M} UTC unless it is resolved by then."


def _resolve(alert: Alert, actor: Any) -> str:
    changed = services.resolve(alert=alert, act=_act(actor), epoch=alert.epoch)
    return "Resolved." if changed else "It had been resolved already."


class AlertPages(admin.TabularInline):
    """The pages of an alert."""

    model = Page
    fk_name = "alert"
    fields = readonly_fields = (
        "created_at",
        "target_label",
        "kind",
        "state",
        "attempts",
        "sent_at",
        "failure",
    )
    can_delete = False
    extra = 0
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The engine makes them."""
        return False


@admin.register(Alert)
class AlertAdmin(ButtonsMixin, FastListMixin, ReadOnlyMixin):
    """What fires: open alerts first."""

    list_display = (
        "title",
        "severity_badge",
        "state_badge",
        "component",
        "count",
        "triggered_at",
        "not_paging",
        "acked_by",
        "incident_number",
    )
    list_filter = (OpenFirst, "suppressed", "severity", "project", "integration")
    list_select_related = ("component", "incident")
    search_fields = ("title", "=dedup_key")
    change_form_template = "admin/alerts/alert/change_form.html"
    inlines = (AlertPages,)
    fields = (
        "title", "sentence", "severity", "state", "project", "component", "incident", "rule", "integration", "policy",
        "value", "count", "epoch", "first_seen_at", "triggered_at", "last_seen_at", "acked_at", "acked_by",
        "acked_via", "resolved_at", "resolved_by", "resolved_via", "labels", "dedup_key",
    )  # fmt: skip
    buttons = (
        Button("acknowledge", "Acknowledge", "alerts.acknowledge_alert", _acknowledge,
               offered=lambda alert: alert.state == "triggered", tone="primary"),
        Button("resolve", "Resolve", "alerts.acknowledge_alert", _resolve,
               offered=lambda alert: alert.state != "resolved"),
        Button("snooze", "Snooze…", "alerts.acknowledge_alert", _snooze, form=SnoozeForm,
               offered=lambda alert: alert.state != "resolved"),
        *suppression_admin.ALERT_BUTTONS,
    )  # fmt: skip

    @admin.display(description="severity", ordering="severity")
    def severity_badge(self, alert: Alert) -> SafeString:
        """As shape and word."""
        return badge(alert.severity)

    @admin.display(description="state", ordering="state")
    def state_badge(self, alert: Alert) -> SafeString:
        """Firing, acknowledged or resolved."""
        return (
            badge("firing") if alert.state == "triggered" else badge(alert.state, alert.get_state_display())
        )

    @admin.display(description="incident", ordering="incident")
    def incident_number(self, alert: Alert) -> str:
        """INC-9; its title would take the line."""
        return alert.incident.number if alert.incident else "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """With the reasons why some of them do not page."""
        return suppression_admin.with_reasons(super().get_queryset(request))

    @admin.display(description="pages?")
    def not_paging(self, alert: Any) -> str:
        """Every reason in force, with by whom and why."""
        return suppression_admin.in_words(alert)


class AttemptInline(admin.TabularInline):
    """The receipts of a page."""

    model = Attempt
    fields = readonly_fields = (
        "n", "started_at", "took", "outcome", "http_status", "provider_id", "retry_after_s", "error",
    )  # fmt: skip
    can_delete = False
    extra = 0

    @admin.display(description="took (ms)")
    def took(self, attempt: Attempt) -> int:
        """Milliseconds of the try."""
        return (attempt.ended_at - attempt.started_at) // timedelta(milliseconds=1)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The engine keeps them."""
        return False


@admin.register(Page)
class PageAdmin(FastListMixin, ReadOnlyMixin):
    """The outbox: what was sent to whom, with the receipt of each try."""

    list_display = (
        "created_at",
        "target_label",
        "kind",
        "subject",
        "state",
        "attempts",
        "sent_at",
        "failure",
    )
    list_filter = ("state", "kind")
    search_fields = ("=key", "target_label")
    ordering = ("-id",)
    inlines = (AttemptInline,)
    fields = (
        "key", "target_label", "kind", "address", "subject", "body", "state", "failure", "attempts",
        "urgency", "alert", "escalation", "epoch", "cycle", "step", "created_at", "next_try_at", "deadline",
        "sent_at",
    )  # fmt: skip


@admin.register(Escalation)
class EscalationAdmin(FastListMixin, ReadOnlyMixin):
    """Frozen runs of policies."""

    list_display = ("alert", "policy_name", "state", "cycle", "step", "next_at", "reached", "started_at")
    list_filter = ("state",)
    list_select_related = ("alert",)
    ordering = ("-id",)
    fields = (
        "alert", "epoch", "policy_name", "state", "cycle", "step", "next_at", "reached", "version",
        "started_at", "plan",
    )  # fmt: skip
