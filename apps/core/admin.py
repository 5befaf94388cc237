"""Pieces of the admin that every room uses: POST buttons on an object's page, capped counts, ticks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.core.models import TickRun
from apps.core.paging import CappedPaginator


@dataclass(frozen=True)
class Button:
    """A verb on an object's page: one permission, one service call, pressed by POST only.

    `call(obj, actor=user, **form_values)` returns a sentence or None and raises ValidationError when it refuses.
    With `form`, pressing first shows that form on a page of its own; its cleaned values are passed to `call`.
    """

    name: str
    label: str
    permission: str
    call: Callable[..., str | None]
    offered: Callable[[Any], bool] = lambda obj: True
    tone: str = "plain"
    form: type[forms.Form] | None = None
    versioned: bool = False  # the page's hidden `version` goes along, and a stale one is refused


class ReasonForm(forms.Form):
    """For verbs that must be explained."""

    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
        max_length=2000,
        help_text="Kept in the timeline and in the audit log.",
    )


class ButtonsMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """POST buttons above the form. What the state machine would refuse is not offered, and refused when pressed."""

    buttons: tuple[Button, ...] = ()
    change_form_template = "admin/change_form_buttons.html"

    def get_buttons(self, obj: Any) -> tuple[Button, ...]:
        """The buttons of one object; override where they depend on it."""
        return self.buttons

    def get_urls(self) -> list[Any]:
        """One more address: <id>/press/<verb>/."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_press"
        view = self.admin_site.admin_view(require_POST(self.press))
        return [path("<path:object_id>/press/<slug:name>/", view, name=name), *super().get_urls()]

    def press(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Run a verb, or show its form first."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404
        button = next((b for b in self.get_buttons(obj) if b.name == name), None)
        if button is None:
            raise Http404
        if not request.user.has_perm(button.permission):
            raise PermissionDenied
        values: dict[str, Any] = {}
        if button.form:
            form = button.form(request.POST if "confirmed" in request.POST else None)
            if not form.is_valid():
                return self._ask(request, obj, button, form)
            values = form.cleaned_data
        self._call(request, obj, button, values)
        return redirect(self._page_of(obj))

    def _call(self, request: HttpRequest, obj: Any, button: Button, values: dict[str, Any]) -> None:
        seen = request.POST.get("version", "")
        if button.versioned and seen.isdecimal():
            values = {**values, "version": int(seen[:9])}
        try:
            said = button.call(obj, actor=request.user, **values)
            self.message_user(request, said or f"{button.label}: done.")
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)

    def _ask(self, request: HttpRequest, obj: Any, button: Button, form: forms.Form) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "button": button,
            "form": form,
            "title": button.label,
        }
        return render(request, "admin/press_form.html", context)

    def _page_of(self, obj: Any) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[obj.pk])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The object's page with the buttons that it offers to this person."""
        obj = self.get_object(request, unquote(object_id))
        shown = [
            b
            for b in (self.get_buttons(obj) if obj else ())
            if b.offered(obj) and request.user.has_perm(b.permission)
        ]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "buttons": shown})


class FastListMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists that cost the same at a thousand rows and at a million: capped count, 50 a page."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50


class ReadOnlyMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Facts: nobody adds, changes or deletes them here, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False


@admin.register(TickRun)
class TickRunAdmin(ReadOnlyMixin):
    """How the portal itself is doing."""

    list_display = (
        "__str__",
        "every_s",
        "succeeded_at",
        "late",
        "duration_ms",
        "runs",
        "failures",
        "backlog",
        "said",
    )
    ordering = ("name", "slot")

    @admin.display(description="late by (s)")
    def late(self, run: TickRun) -> int:
        """Seconds beyond what is allowed."""
        return run.late_s(timezone.now())
