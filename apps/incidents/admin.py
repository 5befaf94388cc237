"""Incidents in the admin: the list, the page that is worked on, and opening one by hand."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReasonForm
from apps.incidents import corrections, durations, postmortems, queries, services, states
from apps.incidents import postmortem_admin as _documents  # noqa: F401 - registers the other pages of the room
from apps.incidents.models import Incident


class OpenFilter(admin.SimpleListFilter):
    """Open ones unless asked otherwise."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Words of the filter."""
        return [("resolved", "Resolved"), ("closed", "Closed"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Django's "All" is our default, open."""
        default = changelist.get_query_string(remove=[self.parameter_name])
        for choice in super().choices(changelist):
            yield {**choice, "display": "Open"} if choice["query_string"] == default else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        """Narrow."""
        value = self.value()
        if value == "all":
            return queryset
        return queryset.filter(state=value) if value else queryset.filter(state__in=states.INCIDENT_OPEN)


class OpenForm(forms.ModelForm):  # type: ignore[type-arg]
    """Opening an incident by hand."""

    class Meta:
        model = Incident
        fields = ("title", "project", "severity", "components", "summary", "began_at", "page_nobody")


class DescribeForm(forms.ModelForm):  # type: ignore[type-arg]
    """What people correct later; the version tells whether somebody was faster."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Incident
        fields = ("title", "summary", "severity", "components")

    def clean(self) -> dict[str, Any]:
        """Refuse a stale page; what was typed stays in the form."""
        cleaned = super().clean() or {}
        seen = cleaned.get("seen_version")
        if (
            seen is not None
            and self.instance.pk
            and seen != Incident.objects.get(pk=self.instance.pk).version
        ):
            raise ValidationError("Somebody changed this incident meanwhile. Compare, then save again.")
        return cleaned


class StampForm(ReasonForm):
    """Correcting one of the five stamps."""

    stamp = forms.ChoiceField(choices=[(s, s.removesuffix("_at").capitalize()) for s in durations.STAMPS])
    at = forms.SplitDateTimeField(widget=admin.widgets.AdminSplitDateTime, label="Time")
    field_order = ("stamp", "at", "reason")


def _mover(step: states.Move) -> Any:
    def call(incident: Incident, actor: Any, reason: str = "", version: int | None = None) -> None:
        services.move(
            incident=incident, verb=step.verb, actor=actor, reason=reason, version=version, now=timezone.now()
        )

    return call


def _take_command(incident: Incident, actor: Any) -> None:
    corrections.take_command(incident=incident, actor=actor, now=timezone.now())


def _correct(incident: Incident, actor: Any, stamp: str, at: Any, reason: str) -> None:
    corrections.correct_stamp(
        incident=incident, stamp=stamp, at=at, reason=reason, actor=actor, now=timezone.now()
    )


@admin.register(Incident)
class IncidentAdmin(ButtonsMixin, FastListMixin, AuditedAdmin):
    """The place where an incident is worked on."""

    list_display = ("number", "title", "severity", "state", "commander", "began_at", "open_alerts")
    list_display_links = ("number", "title")
    list_select_related = ("commander", "project")
    list_filter = (OpenFilter, "severity", ("project", admin.RelatedOnlyFieldListFilter))
    search_fields = ("title", "=id")
    sortable_by = ("began_at",)
    autocomplete_fields = ("project", "components")
    change_form_template = "admin/incidents/incident/change_form.html"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """One form for opening, another for correcting."""
        return super().get_form(request, obj, change=change, form=DescribeForm if obj else OpenForm, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """It began now, unless somebody knows better."""
        return {"began_at": timezone.now(), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the services: they keep the timeline and the audit log."""
        now = timezone.now()
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data if name != "seen_version"}
            corrections.describe(incident=obj, actor=request.user, now=now, changes=changes)
            return
        given = form.cleaned_data
        opened = services.open_incident(
            title=given["title"], project=given["project"], severity=given["severity"], summary=given["summary"],
            began_at=min(given["began_at"], now), page_nobody=given["page_nobody"], actor=request.user, now=now,
        )  # fmt: skip
        obj.__dict__.update(opened.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Components are part of the story too."""
        if not change or "components" in form.changed_data:
            corrections.set_components(
                incident=form.instance, components=form.cleaned_data["components"], actor=request.user,
                now=timezone.now(),
            )  # fmt: skip

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """The service has logged it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """The service has logged it."""

    def get_buttons(self, obj: Any) -> tuple[Button, ...]:
        """The legal moves. Resolving also stops paging, so its button posts to the alerts room."""
        steps = [
            s
            for s in states.moves_from(states.INCIDENT_MOVES, obj.state)
            if s.verb not in ("resolve", "merge")
        ]
        moves = [
            Button(s.verb, s.label, s.permission, _mover(s), form=ReasonForm if s.needs_reason else None,
                   tone="danger" if s.verb in ("cancel", "decline") else "plain", versioned=True)
            for s in steps
        ]  # fmt: skip
        extra = (
            Button("command", "Take command", "incidents.work_incident", _take_command, lambda i: i.is_open),
            Button("stamp", "Correct a stamp", "incidents.command_incident", _correct, form=StampForm),
        )
        return (*moves, *extra)

    def get_urls(self) -> list[Any]:
        """Two more verbs of the page: a note, and the post-mortem's draft."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/note/", view(require_POST(self.note)), name="incidents_incident_note"),
            path(
                "<int:pk>/postmortem/",
                view(require_POST(self.postmortem)),
                name="incidents_incident_postmortem",
            ),
            *super().get_urls(),
        ]

    def _page(self, pk: int) -> HttpResponseRedirect:
        return redirect(reverse("admin:incidents_incident_change", args=[pk]))

    def note(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add a note. A refused one comes back in the field: nothing typed is lost."""
        incident = get_object_or_404(Incident, pk=pk)
        if not request.user.has_perm("incidents.add_timelineentry"):
            raise PermissionDenied
        text = request.POST.get("text", "")
        try:
            services.add_note(incident=incident, text=text, actor=request.user, now=timezone.now())
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)
            return self.change_view(request_as_get(request), str(pk), extra_context={"typed": text})
        self.message_user(request, "Note added.")
        return self._page(pk)

    def postmortem(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Draft the document, or open the one that is there."""
        incident = get_object_or_404(Incident, pk=pk)
        if not request.user.has_perm("incidents.add_postmortem"):
            raise PermissionDenied
        try:
            document = postmortems.draft_postmortem(
                incident=incident, author=request.user, now=timezone.now()
            )
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)
            return self._page(pk)
        return redirect(reverse("admin:incidents_postmortem_change", args=[document.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page with its facts."""
        incident = self.get_object(request, object_id)
        facts: dict[str, Any] = {}
        if incident is not None and self.has_view_permission(request, incident):
            shown = request.GET.get("timeline", "all")
            page = queries.incident_page(incident=incident, shown=shown, now=timezone.now())
            facts = {**vars(page), "may_note": request.user.has_perm("incidents.add_timelineentry")}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})


def request_as_get(request: HttpRequest) -> HttpRequest:
    """The same request, read only: to draw a page in answer to a refused POST."""
    request.method = "GET"
    return request
