"""Projects, their keys and components, teams, routing rules and tokens in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse

from apps.audit.admin import AuditedAdmin
from apps.core import panels
from apps.core.admin import Button, ButtonsMixin
from apps.projects import services
from apps.projects.key_admin import ProjectKeyInline
from apps.projects.models import ApiToken, Component, Project, RoutingRule, Team


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    """Who answers for what."""

    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("members",)


@admin.register(Project)
class ProjectAdmin(AuditedAdmin):
    """What reports."""

    list_display = ("name", "slug", "team", "created_at")
    list_select_related = ("team",)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("team", "default_component")
    inlines = (ProjectKeyInline,)
    change_form_template = "admin/projects/project/change_form.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form, and what upper rooms know of the project."""
        project = self.get_object(request, unquote(object_id))
        shown = panels.of("projects.Project", "side", project) if project else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "panels": shown})


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
