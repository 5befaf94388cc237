"""Incidents in the admin: the list, the page that is worked on, and opening one by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.audit.admin import AuditedAdmin
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReasonForm
from apps.core.templatetags.portal import badge, when
from apps.incidents import corrections, durations, postmortems, queries, services, states
from apps.incidents import postmortem_admin as _documents  # noqa: F401 - registers the other pages of the room
from apps.incidents.models import Incident

WORK, LEAD = "incidents.work_incident", "incidents.command_incident"
# The browser's minute may be ahead of the server's: what is meant is now.
CLOCKS_DIFFER = timedelta(minutes=5)


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


class OpenForm(forms.ModelForm):
    """Opening an incident by hand."""

    class Meta:
        model = Incident
        fields = ("title", "project", "severity", "components", "summary", "began_at", "page_nobody")

    def clean(self) -> dict[str, Any]:
        """Refuse what the service would refuse, while what was typed is still in the form."""
        cleaned = super().clean() or {}
        began, project = cleaned.get("began_at"), cleaned.get("project")
        if began and began > timezone.now() + CLOCKS_DIFFER:
            self.add_error("began_at", "It cannot begin in the future.")
        if project and cleaned.get("components"):
            services.refuse_strangers(project, cleaned["components"])
        return cleaned


class DescribeForm(forms.ModelForm):
    """What people correct later. The version that the page showed tells whether somebody was faster."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    person: Any = None

    class Meta:
        model = Incident
        fields = ("title", "summary", "severity", "components")

    def clean(self) -> dict[str, Any]:
        """Refuse what the services would refuse, while what was typed is still in the form."""
        cleaned = super().clean() or {}
        stored = services.locked(self.instance)  # until the admin's transaction has saved
        services.refuse_stale(stored, cleaned.get("seen_version"))
        if "severity" in cleaned:
            corrections.refuse_rating(incident=stored, severity=cleaned["severity"], actor=self.person)
        if "components" in cleaned:
            services.refuse_strangers(stored.project, cleaned["components"])
        return cleaned


class StampForm(ReasonForm):
    """Correcting one of the five stamps."""

    stamp = forms.ChoiceField(choices=[(s, s.removesuffix("_at").capitalize()) for s in durations.STAMPS])
    at = forms.SplitDateTimeField(widget=AdminSplitDateTime, label="Time")
    field_order = ("stamp", "at", "reason")


class MergeForm(ReasonForm):
    """Which incident takes over."""

    into = forms.ModelChoiceField(Incident.objects.open().order_by("-began_at"), label="Into")
    field_order = ("into", "reason")


def _mover(step: states.Move) -> Callable[..., str]:
    def call(incident: Incident, actor: Any, **given: Any) -> str:
        moved = services.move(incident=incident, verb=step.verb, actor=actor, now=timezone.now(), **given)
        return f"{moved.number} is {moved.get_state_display().lower()} now."

    return call


def _take_command(incident: Incident, actor: Any) -> str:
    taken = corrections.take_command(incident=incident, actor=actor, now=timezone.now())
    return f"You command {incident.number}." if taken else f"You commanded {incident.number} already."


def _correct(incident: Incident, actor: Any, stamp: str, at: Any, reason: str) -> None:
    corrections.correct_stamp(
        incident=incident, stamp=stamp, at=at, reason=reason, actor=actor, now=timezone.now()
    )


def _never(_: Incident) -> bool:
    return False


def _button(step: states.Move, severity: str) -> Button:
    """A move as a button: merging and what must be explained ask first."""
    asked = MergeForm if step.verb == "merge" else ReasonForm if step.needs_reason else None
    tone = "danger" if step.verb in ("cancel", "decline", "merge") else "plain"
    permission = states.permission_of(step, severity)
    return Button(step.verb, step.label, permission, _mover(step), form=asked, tone=tone, versioned=True)


@admin.register(Incident)
class IncidentAdmin(ButtonsMixin, FastListMixin, AuditedAdmin):
    """The place where an incident is worked on."""

    list_display = ("__str__", "severity_badge", "state_badge", "began", "lasted", "who", "open_alerts")
    list_select_related = ("commander", "project")
    list_filter = (OpenFilter, "severity", ("project", admin.RelatedOnlyFieldListFilter))
    search_fields = ("title", "=id")
    sortable_by = ("began",)
    autocomplete_fields = ("project", "components")
    change_form_template = "admin/incidents/incident/change_form.html"

    @admin.display(description="severity")
    def severity_badge(self, incident: Incident) -> SafeString:
        """Shape and word."""
        return badge(incident.severity)

    @admin.display(description="state")
    def state_badge(self, incident: Incident) -> SafeString:
        """Where the work stands; one that nobody has taken looks like it."""
        if incident.is_open and incident.acknowledged_at is None:
            return badge("firing", "Not acknowledged")
        return badge(incident.state, incident.get_state_display())

    @admin.display(ordering="began_at")
    def began(self, incident: Incident) -> SafeString:
        """When users were first hit."""
        return when(incident.began_at, ago=False)

    @admin.display(description="time to restore")
    def lasted(self, incident: Incident) -> str:
        """How long it went on; one that goes on has none yet."""
        took = durations.of(incident).to_restore
        if took is None:
            return "goes on" if incident.is_open else "–"
        return durations.in_words(took)

    @admin.display(description="who has it")
    def who(self, incident: Incident) -> str:
        """Its commander, else who acknowledged it."""
        if incident.commander:
            return incident.commander.get_username()
        return incident.acknowledged_by or ("Nobody" if incident.is_open else "–")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """One form for opening, another for correcting."""
        form: Any = super().get_form(
            request, obj, change=change, form=DescribeForm if obj else OpenForm, **kwargs
        )
        form.person = request.user
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """It began now, unless somebody knows better."""
        return {"began_at": timezone.now(), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the services: they keep the timeline and the audit log."""
        now = timezone.now()
        if change:
            changes = {n: form.cleaned_data[n] for n in form.changed_data if n in corrections.WORDS}
            corrections.describe(incident=obj, actor=request.user, now=now, changes=changes)
            return
        given = form.cleaned_data
        opened = services.open_incident(
            title=given["title"], project=given["project"], severity=given["severity"], summary=given["summary"],
            began_at=min(given["began_at"], now), page_nobody=given["page_nobody"], actor=request.user, now=now,
            components=given["components"],
        )  # fmt: skip
        obj.__dict__.update(opened.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Components are part of the story too."""
        if change and "components" in form.changed_data:
            corrections.set_components(
                incident=form.instance, components=form.cleaned_data["components"], actor=request.user,
                now=timezone.now(),
            )  # fmt: skip

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The service has logged it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The service has logged it."""

    def get_buttons(self, obj: Any) -> tuple[Button, ...]:
        """The legal moves, the likely one first. Acknowledging takes an incident out of triage and stops the paging,
        resolving stops it too: both verbs are the alerts room's, and the page posts them there.

        Moves that are not legal now stay known, since a press may come from a page that is older than the last move.
        """
        steps = states.moves_from(states.INCIDENT_MOVES, obj.state)
        moves = [_button(s, obj.severity) for s in steps if (s.source, s.verb) != ("triage", "investigate")]
        likely = next((i for i, b in enumerate(moves) if b.tone == "plain" and b.form is None), None)
        if likely is not None:
            moves.insert(0, replace(moves.pop(likely), tone="primary"))
        gone = {s.verb: s for s in states.INCIDENT_MOVES if s.verb not in {b.name for b in moves}}
        unseen = [replace(_button(s, obj.severity), form=None, offered=_never) for s in gone.values()]
        extra = (
            Button("command", "Take command", WORK, _take_command, lambda i: i.is_open),
            Button("stamp", "Correct a stamp", LEAD, _correct, form=StampForm),
        )
        loud = [button for button in moves if button.tone == "danger"]
        return (*(button for button in moves if button not in loud), *extra, *loud, *unseen)

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
            page = self.change_view(request_as_get(request), str(pk), extra_context={"typed": text})
            page.status_code = 400
            return page
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
