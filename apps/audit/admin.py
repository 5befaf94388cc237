"""The audit log in the admin, and the base class through which every other admin page writes to it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.audit import services
from apps.audit.models import AuditEvent, Category
from apps.core.admin import FastListMixin, ReadOnlyMixin


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ModelAdmin whose changes end in the audit log with before and after. Nothing is deleted unless a class says so.

    `secret_fields` are logged as set or empty only.
    """

    secret_fields: frozenset[str] = frozenset()
    audit_category = Category.CONFIG
    may_delete = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Off by default: history hangs on rows."""
        return self.may_delete and super().has_delete_permission(request, obj)

    def _noun(self) -> str:
        return str(self.opts.model_name)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep the values before the change for the log."""
        stored = self.model._default_manager.filter(pk=obj.pk).first() if change else None
        request.audit_before = services.snapshot(stored, self.secret_fields) if stored else {}  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """<noun>.create"""
        after = services.changed({}, services.snapshot(obj, self.secret_fields))
        services.record(f"{self._noun()}.create", resource=obj, category=self.audit_category, changes=after)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """<noun>.update"""
        before = getattr(request, "audit_before", {})
        changes = services.changed(before, services.snapshot(obj, self.secret_fields)) if before else {}
        details = {"form": message} if isinstance(message, list) and message else {}
        services.record(
            f"{self._noun()}.update",
            resource=obj,
            category=self.audit_category,
            changes=changes,
            details=details,
        )

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """<noun>.delete, one event a row."""
        for obj in queryset:
            before = {k: [v, None] for k, v in services.snapshot(obj, self.secret_fields).items()}
            services.record(
                f"{self._noun()}.delete", resource=obj, category=self.audit_category, changes=before
            )


@admin.register(AuditEvent)
class AuditEventAdmin(FastListMixin, ReadOnlyMixin):
    """Who did what. The database refuses changes as well, whoever asks."""

    list_display = (
        "occurred_at",
        "action",
        "outcome",
        "actor_label",
        "resource_type",
        "resource_label",
        "ip",
    )
    list_filter = ("category", "outcome", "severity")
    search_fields = ("=action", "=actor_label", "=resource_id", "=request_id")
    ordering = ("-id",)
    fields = (
        "id", "occurred_at", "received_at", "category", "action", "outcome", "severity", "actor_type", "actor_label",
        "resource_type", "resource_id", "resource_label", "ip", "user_agent", "request_id", "details", "changes",
        "reason", "canonical", "hash_hex",
    )  # fmt: skip

    @admin.display(description="SHA-256 of the canonical form")
    def hash_hex(self, event: AuditEvent) -> str:
        """In hexadecimal digits."""
        return bytes(event.event_hash).hex()
