"""Pages of confidence: who would be paged, and whether they can be reached."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.alerts.confidence import preview as previews
from apps.alerts.confidence import reachability as audits
from apps.alerts.confidence import verifying
from apps.alerts.confidence.forms import PreviewForm
from apps.alerts.models import ContactMethod, EscalationPolicy

SEE = "alerts.view_escalationpolicy"


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """A policy, the policy of a rule, or the policies of a component, as if it fired at the moment asked about."""
    if not request.user.has_perm(SEE):
        raise PermissionDenied
    form, now = PreviewForm(request.GET or None), timezone.now()
    found = []
    if form.is_bound and form.is_valid():
        chosen = [form.cleaned_data[name] for name in ("policy", "rule", "component")]
        at = form.moment(now)
        asked = previews.asked(*chosen) if any(chosen) else _default()
        found = [previews.preview(policy, at, now, why) for policy, why in asked]
    elif not form.is_bound:
        found = [previews.preview(policy, now, now, why) for policy, why in _default()]
    return _page(request, "alerts/preview.html", title="Who would be paged", form=form, found=found)


def _default() -> list[tuple[EscalationPolicy, str]]:
    return [(policy, "Default policy") for policy in EscalationPolicy.objects.filter(is_default=True)]


# --- Reachability -------------------------------------------------------------------------------------------
@require_safe
def reachability(request: HttpRequest) -> HttpResponse:
    """Everybody whom the next seven days may page, and the gaps in between."""
    if not request.user.has_perm(SEE):
        raise PermissionDenied
    made = audits.audit(now=timezone.now())
    return _page(
        request, "alerts/reachability.html", title="Who can be reached", audit=made, days=audits.DAYS
    )


class CodeForm(forms.Form):
    """The code that was sent."""

    code = forms.CharField(max_length=40, widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}))


def _method(request: HttpRequest, pk: int) -> ContactMethod:
    """One's own, or anybody's for who may change them."""
    method = get_object_or_404(ContactMethod.objects.select_related("user"), pk=pk)
    if method.user_id != request.user.pk and not request.user.has_perm("alerts.change_contactmethod"):
        raise PermissionDenied
    return method


@require_POST
def send_code(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a code to an address, to be typed in on the page that follows."""
    method = _method(request, pk)
    page = verifying.send_code(method=method, now=timezone.now(), actor=request.user)
    if not verifying.went_out(page):
        messages.error(request, f"The code did not go out: {page.failure or page.get_state_display()}")
        return redirect("alerts:reachability")
    messages.success(request, f"A code is on its way by {method.kind}.")
    return redirect("alerts:confirm_way", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the code is typed in."""
    method = _method(request, pk)
    form = CodeForm(request.POST) if request.method == "POST" else CodeForm()
    if form.is_valid():
        try:
            verifying.confirm(
                method=method, code=form.cleaned_data["code"], now=timezone.now(), actor=request.user
            )
        except ValidationError as refusal:
            form.add_error("code", refusal.message_dict["code"])
        else:
            messages.success(request, f"{method.kind} is verified.")
            return redirect("alerts:reachability")
    return _page(request, "alerts/confirm.html", title="Confirm an address", form=form, method=method)
