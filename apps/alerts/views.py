"""Buttons of the incident's page and of triage that stop paging: they belong here, since incidents cannot call up."""

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.alerts import services
from apps.alerts.services import Act
from apps.incidents.models import Incident

PERMISSIONS = ("alerts.acknowledge_alert", "incidents.work_incident")


class TogetherForm(forms.Form):
    """Several incidents at once, and why."""

    incident = forms.ModelMultipleChoiceField(Incident.objects.open())
    reason = forms.CharField(max_length=500)


def _act(request: HttpRequest) -> Act:
    if not request.user.has_perms(PERMISSIONS):
        raise PermissionDenied
    return Act(by=request.user.get_username(), at=timezone.now(), via="admin", actor=request.user)


def _back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To `next` if it is an address of ours."""
    to = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(to, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(to if to and safe else otherwise)


def _on_incident(
    request: HttpRequest, pk: int, service: Callable[..., bool], done: str, known: str
) -> HttpResponse:
    act = _act(request)
    incident = get_object_or_404(Incident, pk=pk)
    changed = service(incident=incident, act=act)
    messages.add_message(
        request,
        messages.SUCCESS if changed else messages.INFO,
        f"{incident.number} {done if changed else known}",
    )
    return _back(request, reverse("admin:incidents_incident_change", args=[pk]))


@require_POST
def acknowledge_incident(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an incident: nobody else is paged for it."""
    return _on_incident(
        request,
        pk,
        services.acknowledge_incident,
        "is yours; nobody else is paged.",
        "had been acknowledged already.",
    )


@require_POST
def resolve_incident(request: HttpRequest, pk: int) -> HttpResponse:
    """The failure is over: the incident and all its alerts."""
    return _on_incident(
        request,
        pk,
        services.resolve_incident,
        "is resolved, with all its alerts.",
        "had been resolved already.",
    )


@require_POST
def acknowledge_incidents(request: HttpRequest) -> HttpResponse:
    """Take the ticked ones together, with one reason."""
    act, form = _act(request), TogetherForm(request.POST)
    if not form.is_valid():
        said = "; ".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())
        messages.error(request, f"Nothing was acknowledged. {said}")
        return _back(request, reverse("admin:index"))
    found, reason = form.cleaned_data["incident"], form.cleaned_data["reason"]
    changed = services.acknowledge_incidents(incidents_=found, act=act, reason=reason)
    messages.success(request, f"{changed} of {len(found)} acknowledged.")
    return _back(request, reverse("admin:index"))
