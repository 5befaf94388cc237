"""Projects, their keys and components, teams, routing rules and tokens in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin
from apps.projects import services
from apps.projects.models import ApiToken, Component, Project, ProjectKey, RoutingRule, Team


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    """Who answers for what."""

    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("members",)


class ProjectKeyInline(admin.TabularInline):
    """The keys of a project, with the DSN that SDKs are given."""

    model = ProjectKey
    extra = 0
    fields = ("label", "dsn", "active", "expires_at", "allowed_origins", "rate_limit_per_minute")
    readonly_fields = ("dsn",)

    @admin.display(description="DSN")
    def dsn(self, key: ProjectKey) -> str:
        """What an SDK is given."""
        return services.dsn(key) if key.pk else "made when saved"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key is switched off, not deleted: its history stays."""
        return False


@admin.register(Project)
class ProjectAdmin(AuditedAdmin):
    """What reports."""

    list_display = ("name", "slug", "team", "created_at")
    list_select_related = ("team",)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("team", "default_component")
    inlines = (ProjectKeyInline,)


@admin.register(Component)
class ComponentAdmin(AuditedAdmin):
    """Parts of projects that fail by themselves."""

    list_display = ("name", "project", "team", "slug")
    list_select_related = ("project", "team")
    list_filter = ("project",)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("project", "team", "depends_on")


@admin.register(RoutingRule)
class RoutingRuleAdmin(AuditedAdmin):
    """Which component a route belongs to."""

    list_display = ("pattern", "component", "project", "order")
    list_select_related = ("project",)
    list_editable = ("order",)
    autocomplete_fields = ("project",)
    may_delete = True


@admin.register(ApiToken)
class ApiTokenAdmin(ButtonsMixin, AuditedAdmin):
    """Tokens are made by `manage.py api_token`, which prints them once; here they are seen and revoked."""

    list_display = ("name", "prefix", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    readonly_fields = (
        "name", "user", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    buttons = (
        Button(
            "revoke", "Revoke", "projects.change_apitoken",
            lambda token, actor: services.revoke_token(token=token, actor=actor),
            offered=lambda token: token.revoked_at is None, tone="danger",
        ),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The secret is shown once, on the command line."""
        return False
