"""The audit log in the admin, and the base class through which every other admin page writes to it."""

import re
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import models
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
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}  # what was typed without one

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Off by default: history hangs on rows."""
        return self.may_delete and super().has_delete_permission(request, obj)

    def _facts(self, obj: Any) -> dict[str, Any]:
        return services.snapshot(obj, self.secret_fields) | services.links(obj)

    def _record(self, verb: str, obj: Any, changes: Any, details: Any = None) -> None:
        action = f"{_noun(obj)}.{verb}"
        services.record(action, resource=obj, category=self.audit_category, changes=changes, details=details)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep the values before the change for the log; links are still the old ones here."""
        stored = self.model._default_manager.filter(pk=obj.pk).first() if change else None
        request.audit_before = self._facts(stored) if stored else {}  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """The rows of an inline are changes like any other."""
        touched = [f.instance.pk for f in formset.initial_forms if f.has_changed()]
        before = {pk: self._facts(row) for pk, row in formset.model._default_manager.in_bulk(touched).items()}
        for gone in formset.deleted_forms:
            self._record(
                "delete", gone.instance, {k: [v, None] for k, v in self._facts(gone.instance).items()}
            )
        super().save_formset(request, form, formset, change)
        for obj in formset.new_objects:
            self._record("create", obj, services.changed({}, self._facts(obj)))
        for obj, _fields in formset.changed_objects:
            self._record("update", obj, services.changed(before.get(obj.pk, {}), self._facts(obj)))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """<noun>.create"""
        self._record("create", obj, services.changed({}, self._facts(obj)))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """<noun>.update"""
        before = getattr(request, "audit_before", {})
        changes = services.changed(before, self._facts(obj)) if before else {}
        details = {"form": message} if isinstance(message, list) and message else {}
        self._record("update", obj, changes, details)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """<noun>.delete, one event a row."""
        for obj in queryset:
            self._record("delete", obj, {k: [v, None] for k, v in self._facts(obj).items()})


def _noun(obj: Any) -> str:
    """ProjectKey → project_key, as services name it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(obj).__name__).lower()


admin.site.unregister((User, Group))  # Django's own pages of them leave no trace with before and after


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """People and their roles. Who leaves is made inactive: their deeds stay theirs."""

    secret_fields = frozenset({"password"})
    audit_category = Category.SECURITY

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody gives what they do not have: past the roles only superusers lead."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A superuser's password in other hands would be the same gift."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)


@admin.register(Group)
class RoleAdmin(AuditedAdmin, GroupAdmin):
    """Roles and what they may do."""

    audit_category = Category.SECURITY


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
