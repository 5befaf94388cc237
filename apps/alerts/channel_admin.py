"""Channels and the ways to reach people, in the admin."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.alerts import channel_services
from apps.alerts.forms import ChannelForm, ContactMethodForm
from apps.alerts.models import Channel, ContactMethod
from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin
from apps.core.templatetags.portal import badge


@admin.register(Channel)
class ChannelAdmin(ButtonsMixin, AuditedAdmin):
    """Places that pages go to. The secret is set or replaced, never shown."""

    form = ChannelForm
    list_display = ("name", "kind", "state", "secret_set", "last_sent_at", "last_failed_at", "last_failure")
    list_filter = ("kind", "enabled")
    search_fields = ("name",)
    fields = (
        "name", "kind", "address", "new_secret", "secret_set", "enabled", "state", "last_sent_at",
        "last_failed_at", "last_failure", "broken_since",
    )  # fmt: skip
    readonly_fields = (
        "secret_set",
        "state",
        "last_sent_at",
        "last_failed_at",
        "last_failure",
        "broken_since",
    )
    secret_fields = frozenset({"secret"})
    buttons = (
        Button(
            "test", "Send a test", "alerts.change_channel", lambda channel, actor: _test(channel, actor),
            offered=lambda channel: channel.enabled,
        ),
    )  # fmt: skip

    @admin.display(description="secret")
    def secret_set(self, channel: Channel) -> str:
        """Set or not, and its last characters when it is long."""
        return channel.secret_hint or "not set"

    @admin.display(description="state")
    def state(self, channel: Channel) -> SafeString:
        """Works, was refused for good, or is off."""
        if not channel.enabled:
            return badge("disabled", "Off")
        if channel.broken_since:
            return badge("critical", "Refused for good")
        return badge("ok", "Works") if channel.last_sent_at else badge("nodata", "Never used")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The secret's place is the row's key, so it is sealed after the row exists."""
        super().save_model(request, obj, form, change)
        if secret := form.cleaned_data.get("new_secret"):
            channel_services.set_secret(channel=obj, secret=secret, actor=request.user)


def _test(channel: Channel, actor: Any) -> str:
    page = channel_services.send_test(channel=channel, now=timezone.now(), actor=actor)
    if page.state == "sent":
        return f"Test sent to {channel.name}."
    raise ValidationError(
        f"The test did not reach {channel.name}: {page.failure or page.get_state_display()}"
    )


@admin.register(ContactMethod)
class ContactMethodAdmin(AuditedAdmin):
    """How people are reached, in their own order."""

    form = ContactMethodForm
    list_display = (
        "user",
        "order",
        "kind",
        "address",
        "urgency",
        "enabled",
        "last_failed_at",
        "last_failure",
    )
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    autocomplete_fields = ("user",)
    may_delete = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Another address is not the one that was proven."""
        if change and {"kind", "address", "user"} & set(form.changed_data):
            obj.verified_at = None
        super().save_model(request, obj, form, change)
