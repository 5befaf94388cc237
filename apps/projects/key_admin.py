"""Keys in the admin: on their project's page and on their own, with their use, rotation and end."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin
from apps.projects import services
from apps.projects.key_services import LONGEST_OVERLAP_DAYS, OVERLAP_DAYS, revoke_key, rotate_key, shown
from apps.projects.models import KeyDay, ProjectKey
from apps.projects.origins import normal_form, not_an_origin

MAY = "projects.change_projectkey"


class KeyForm(forms.ModelForm):
    """A key; its origins are kept as browsers write them."""

    class Meta:
        model = ProjectKey
        fields = ("label", "active", "expires_at", "allowed_origins", "rate_limit_per_minute")

    def clean_allowed_origins(self) -> list[str]:
        """All that are none are named at once."""
        typed = self.cleaned_data["allowed_origins"]
        wrong = [origin for origin in typed if normal_form(origin) is None]
        if wrong:
            raise forms.ValidationError([not_an_origin(origin) for origin in wrong])
        return [form for origin in typed if (form := normal_form(origin))]


class RotateForm(forms.Form):
    """How long the old key goes on working."""

    overlap_days = forms.IntegerField(
        label="Days until the old key ends",
        initial=OVERLAP_DAYS,
        min_value=0,
        max_value=LONGEST_OVERLAP_DAYS,
        help_text="Both keys work until then, so that applications can be moved one by one. 0 ends the old one now.",
    )


def with_use(found: QuerySet[ProjectKey]) -> QuerySet[ProjectKey]:
    """Keys with the day of their last request and the requests of that day."""
    last = KeyDay.objects.filter(key=OuterRef("pk")).order_by("-day")
    return found.annotate(
        used_on=Subquery(last.values("day")[:1]), used_then=Subquery(last.values("requests")[:1])
    )


def _is_usable(key: ProjectKey) -> bool:
    return key.active and (key.expires_at is None or key.expires_at > timezone.now())


class KeyColumns:
    """What is shown of a key beside its fields."""

    @admin.display(description="DSN")
    def dsn(self, key: ProjectKey) -> str:
        """What an SDK is given."""
        return services.dsn(key) if key.pk else "made when saved"

    @admin.display(description="last used", ordering="used_on")
    def last_used(self, key: ProjectKey) -> str:
        """By day of UTC; written some seconds after the requests."""
        day, requests = getattr(key, "used_on", None), getattr(key, "used_then", None)
        if day is None:
            return "never" if key.pk else ""
        today = timezone.now().date()
        named = {today: "today", today - timedelta(days=1): "yesterday"}.get(day, f"{day:%Y-%m-%d}")
        return f"{named}, {requests:,} request{'' if requests == 1 else 's'}"

    @admin.display(description="state")
    def state(self, key: ProjectKey) -> str:
        """Whether it opens the door, and until when."""
        if not key.pk:
            return ""
        if not key.active:
            return "revoked"
        if key.expires_at is None:
            return "in use"
        return f"{'until' if _is_usable(key) else 'ended'} {key.expires_at:%Y-%m-%d %H:%M} UTC"


class ProjectKeyInline(KeyColumns, admin.TabularInline):
    """The keys of a project with their DSN; limits, origins and rotation are on the key's own page."""

    model = ProjectKey
    extra = 0
    fields = ("label", "dsn", "state", "last_used", "active")
    readonly_fields = ("dsn", "state", "last_used")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectKey]:
        """With their use, in the same query."""
        return with_use(super().get_queryset(request).select_related("project"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key is switched off, not deleted: its history stays."""
        return False


def _rotate(key: ProjectKey, actor: Any, overlap_days: int) -> str:
    successor = rotate_key(key=key, overlap_days=overlap_days, now=timezone.now(), actor=actor)
    said = f"The new key is {shown(successor)}; its DSN is {services.dsn(successor)}."
    return f"{said} The old one works until {key.expires_at:%Y-%m-%d %H:%M} UTC."


def _revoke(key: ProjectKey, actor: Any) -> str:
    revoke_key(key=key, actor=actor)
    return "Revoked: it opens nothing any more within five seconds."


@admin.register(ProjectKey)
class ProjectKeyAdmin(KeyColumns, ButtonsMixin, FastListMixin, AuditedAdmin):
    """Keys of all projects: which are in use, which may go."""

    form = KeyForm
    list_display = ("label", "project", "start", "state", "last_used", "rate_limit_per_minute")
    list_select_related = ("project",)
    list_filter = ("active", ("project", admin.RelatedOnlyFieldListFilter))
    sortable_by = ("last_used",)
    fields = (
        "project", "label", "dsn", "state", "last_used", "replaced_by", "active", "expires_at", "allowed_origins",
        "rate_limit_per_minute",
    )  # fmt: skip
    readonly_fields = ("project", "dsn", "state", "last_used", "replaced_by")
    buttons = (
        Button(
            "rotate", "Rotate", MAY, _rotate, lambda key: _is_usable(key) and key.replaced_by_id is None,
            form=RotateForm,
        ),
        Button("revoke", "Revoke", MAY, _revoke, lambda key: key.active, tone="danger"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectKey]:
        """With their use, in the same query."""
        return with_use(super().get_queryset(request).select_related("project"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A key is made on its project's page, or as the successor of another."""
        return False

    @admin.display(description="begins with")
    def start(self, key: ProjectKey) -> str:
        """Enough to tell it from others."""
        return shown(key)
