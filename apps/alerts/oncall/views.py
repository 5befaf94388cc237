"""Pages of on-call that belong to no single row: who has it now, calendar links, reading a calendar in; and the
one address without sign-in, the calendar itself."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.alerts.models.oncall import CalendarLink, Schedule
from apps.alerts.oncall import calendar as oncall_calendar
from apps.alerts.oncall import figures as oncall_figures
from apps.alerts.oncall import queries as oncall_queries
from apps.alerts.oncall import services as oncall
from apps.alerts.oncall.forms import CalendarFileForm, CalendarLinkForm
from apps.projects.models import Team

SEE = "alerts.view_schedule"
LOAD_DAYS = (7, 30, 90)


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    if not request.user.has_perm(SEE):
        raise PermissionDenied
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


@require_safe
def on_call(request: HttpRequest) -> HttpResponse:
    """Who has each schedule now, until when, and who follows."""
    duties = oncall_queries.on_call_now(timezone.now())
    return _page(request, "alerts/on_call.html", title="On call", duties=duties)


@require_safe
def load(request: HttpRequest) -> HttpResponse:
    """How the load was shared in the last `?days=`, 30 without it."""
    days = next((n for n in LOAD_DAYS if str(n) == request.GET.get("days")), LOAD_DAYS[1])
    now = timezone.now()
    if not request.user.has_perm(SEE):
        raise PermissionDenied
    found = oncall_figures.loads(start=now - timedelta(days=days), end=now)
    return _page(request, "alerts/load.html", title="Load", loads=found, days=days, ranges=LOAD_DAYS)


# --- Calendar links -----------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def calendars(request: HttpRequest) -> HttpResponse:
    """One's own links and those one made for others; POST makes one and shows its secret this once."""
    if request.method != "POST":
        return _calendars(request)
    if not request.user.has_perm(SEE):
        raise PermissionDenied
    form = CalendarLinkForm(request.POST)
    subject = form.subject(request.user) if form.is_valid() else None
    if subject is None:
        messages.error(request, "Choose whose shifts the calendar shows.")
        return _calendars(request)
    _, secret = oncall.create_link(subject=subject, now=timezone.now(), actor=request.user)
    address = request.build_absolute_uri(reverse("alerts:calendar", args=[secret]))
    return _calendars(request, address=address, of=subject)  # never cached, as no page of the admin is


def _calendars(request: HttpRequest, **context: Any) -> HttpResponse:
    mine = Q(user=request.user) | Q(created_by=request.user.get_username())
    links = CalendarLink.objects.live().filter(mine).select_related("user", "schedule", "team")
    return _page(
        request, "alerts/calendars.html", title="Calendars", links=links, schedules=Schedule.objects.all(),
        teams=Team.objects.filter(schedules__isnull=False).distinct(), **context,
    )  # fmt: skip


@require_POST
def revoke_calendar(request: HttpRequest, pk: int) -> HttpResponse:
    """End a link of one's own, or one that one made."""
    link = get_object_or_404(CalendarLink, pk=pk)
    own = link.user_id == request.user.pk or link.created_by == request.user.get_username()
    if not (own or request.user.has_perm("alerts.change_calendarlink")):
        raise PermissionDenied
    oncall.revoke_link(link=link, now=timezone.now(), actor=request.user)
    messages.success(request, "The link is revoked: whoever holds it reads nothing any more.")
    return redirect("alerts:calendars")


@require_safe
def calendar(request: HttpRequest, secret: str) -> HttpResponse:
    """The calendar behind a secret link. An unknown link and a revoked one answer alike."""
    now = timezone.now()
    link = oncall.find_link(secret, now=now)
    if link is None:
        raise Http404("There is no such calendar.")
    name, entries = oncall_queries.calendar_of(link, now)
    answer = HttpResponse(oncall_calendar.write(entries, name=name, now=now), content_type="text/calendar")
    answer["Content-Disposition"] = 'inline; filename="on-call.ics"'
    answer["Cache-Control"] = "private, no-store"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex"
    return answer


# --- Reading one in -----------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def import_calendar(request: HttpRequest, pk: int) -> HttpResponse:
    """Overrides out of a file: all of them, or none with the reason."""
    if not request.user.has_perm("alerts.change_schedule"):
        raise PermissionDenied
    schedule = get_object_or_404(Schedule, pk=pk)
    form = CalendarFileForm(request.POST, request.FILES) if request.method == "POST" else CalendarFileForm()
    if form.is_valid():
        try:
            said = oncall.import_overrides(
                schedule=schedule, data=form.cleaned_data["calendar"], now=timezone.now(), actor=request.user
            )
        except ValidationError as refusal:
            form.add_error("calendar", refusal.message_dict.get("calendar", refusal.messages))
        else:
            messages.success(request, _words(said))
            return redirect("admin:alerts_schedule_change", pk)
    return _page(
        request, "alerts/import_calendar.html", title="Read a calendar in", form=form, original=schedule
    )


def _words(said: oncall.Imported) -> str:
    words = f"{said.made} overrides made, {said.kept} as they were, {said.removed} taken out."
    return f"{words} {said.past} are over already." if said.past else words
