"""Integrations in the admin: the sender's configuration, keys, what came in, and "what would this make?"."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.alerts import doors
from apps.alerts.doors.forms import IntegrationForm, KeyForm, TryForm, part_name
from apps.alerts.doors.keys import OVERLAP_DAYS, make_key, revoke_keys
from apps.alerts.doors.mapped import PARTS
from apps.alerts.doors.trying import outcomes
from apps.alerts.models import Integration
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin
from apps.core.refusal import Refused
from apps.core.templatetags.portal import badge

MAY = "alerts.change_integration"
PLACEHOLDER = "YOUR-KEY"
MAPPING = "Mapping, for JSON"


def _revoke(integration: Integration, actor: Any) -> str:
    ended = revoke_keys(integration=integration, now=timezone.now(), actor=actor)
    return f"{ended} {'key opens' if ended == 1 else 'keys open'} nothing any more."


@admin.register(Integration)
class IntegrationAdmin(ButtonsMixin, AuditedAdmin):
    """Other tools that may open and end alerts here."""

    form = IntegrationForm
    change_form_template = "admin/alerts/integration/change_form.html"
    list_display = ("name", "kind", "project", "state", "pages", "last_received_at", "received", "rejected")
    list_filter = ("kind", "enabled")
    list_select_related = ("project", "policy")
    search_fields = ("name",)
    autocomplete_fields = ("project", "component", "policy")
    fieldsets = (
        (None, {"fields": ("name", "kind", "enabled")}),
        ("Whose alerts", {"fields": ("project", "component", "dedup_prefix", "reopen_window_s")}),
        ("Whom they page", {"fields": ("policy", "pages_from", "opens_incident")}),
        ("Severity", {"fields": ("severity_map", "default_severity")}),
        (MAPPING, {"fields": (*map(part_name, PARTS), "resolved_words"), "classes": ("collapse",)}),
        ("Limits", {"fields": ("limit_per_minute",)}),
    )
    buttons = (
        Button("revoke", "Revoke all keys", MAY, _revoke, lambda one: one.live_keys, tone="danger"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        """With the number of keys that open something."""
        now = timezone.now()
        live = Q(keys__revoked_at=None) & (Q(keys__expires_at=None) | Q(keys__expires_at__gt=now))
        return super().get_queryset(request).annotate(live_keys=Count("keys", filter=live))

    def get_urls(self) -> list[Any]:
        """Two more: a new key, and what a body would make."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/key/", view(require_POST(self.new_key)), name="alerts_integration_key"),
            path("<int:pk>/try/", view(self.try_body), name="alerts_integration_try"),
            *super().get_urls(),
        ]

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To its own page, since nothing comes in before it has a key."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is saved. Make a key: nothing comes in without one.")
        return redirect("admin:alerts_integration_change", obj.pk)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look sees the mapping as it is kept: its fields are of the form."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        return [
            (name, {"fields": ("mapping",)} if name == MAPPING else options)
            for name, options in self.fieldsets
        ]

    @admin.display(description="state")
    def state(self, integration: Any) -> SafeString:
        """Whether anything comes in, and whether it is taken."""
        if not integration.enabled:
            return badge("disabled", "Off")
        if not integration.live_keys:
            return badge("critical", "No key")
        if integration.last_received_at is None:
            return badge("nodata", "Nothing yet")
        last = integration.last_rejected_at
        spoiled = last is not None and last >= integration.last_received_at
        return badge("warning", "Last one refused") if spoiled else badge("ok", "Receives")

    @admin.display(description="pages")
    def pages(self, integration: Integration) -> SafeString | str:
        """By which policy."""
        return str(integration.policy) if integration.policy else badge("critical", "Pages nobody")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """With the sender's configuration and the keys."""
        integration = self.get_object(request, unquote(object_id))
        shown = self._sight(integration, PLACEHOLDER) if integration else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def _sight(self, integration: Integration, key: str) -> dict[str, Any]:
        kind = doors.registry.get(integration.kind)
        return {
            "setup": kind.setup(settings.SITE_URL, key) if kind else "",
            "keys": integration.keys.all()[:20], "now": timezone.now(), "overlap_days": OVERLAP_DAYS,
        }  # fmt: skip

    def _held(self, request: HttpRequest, pk: int) -> Integration:
        integration = self.get_object(request, str(pk))
        if integration is None:
            raise Http404
        if not request.user.has_perm(MAY):
            raise PermissionDenied
        return integration

    def _page(
        self, request: HttpRequest, template: str, integration: Integration, **more: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": integration,
            **more,
        }
        return TemplateResponse(request, f"admin/alerts/integration/{template}", context)

    def new_key(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a key and show it this once, in the configuration that the sender needs."""
        integration, form = self._held(request, pk), KeyForm(request.POST)
        if not form.is_valid():
            self.message_user(
                request, "Older keys may go on for 0 to 90 days; no key was made.", messages.ERROR
            )
            return redirect("admin:alerts_integration_change", pk)
        days = form.cleaned_data.get("overlap_days")
        secret = make_key(
            integration=integration, now=timezone.now(), actor=request.user,
            overlap_days=OVERLAP_DAYS if days is None else days,
        )  # fmt: skip
        sight = self._sight(integration, secret)
        return self._page(request, "key.html", integration, title="A new key", secret=secret, **sight)

    def try_body(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What a body would make, as the door reads it. Nothing is written."""
        integration = self._held(request, pk)
        form = TryForm(request.POST) if request.method == "POST" else TryForm()
        said: dict[str, Any] = {}
        if form.is_valid():
            try:
                said["outcomes"] = outcomes(integration, form.cleaned_data["sample"], now=timezone.now())
            except Refused as refused:
                where = f"{refused.field}: " if refused.field else ""
                form.add_error("sample", f"Refused. {where}{refused.message}")
        return self._page(request, "try.html", integration, title="What would this make?", form=form, **said)
