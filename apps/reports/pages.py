"""Admin pages that read across rooms and belong to no model: search, and the mail that was kept as files."""

from email.message import EmailMessage
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.core import mail
from apps.errors.models import ErrorGroup
from apps.incidents.models import Incident, PostMortem
from apps.projects.models import Component

FOUND_PER_KIND = 10


def page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """A page in the admin's shell."""
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


def kept_mail(request: HttpRequest) -> HttpResponse:
    """Mail that had no server to go to, newest first."""
    if not request.user.has_perm("alerts.view_page"):
        raise PermissionDenied
    messages = [
        {"name": name, "to": m["To"], "subject": m["Subject"], "date": m["Date"]} for name, m in mail.kept()
    ]
    return page(request, "admin/kept_mail.html", title="Kept mail", mails=messages)


def kept_message(request: HttpRequest, name: str) -> HttpResponse:
    """One kept message as plain text. The name is looked up in the list: it is never a path."""
    if not request.user.has_perm("alerts.view_page"):
        raise PermissionDenied
    message = dict(mail.kept(limit=500)).get(name)
    if message is None:
        raise Http404
    headers = [
        (key, str(message[key])) for key in ("From", "To", "Subject", "Date", "Message-ID") if message[key]
    ]
    return page(
        request, "admin/kept_message.html", title=message["Subject"], headers=headers, text=_text(message)
    )


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    return str(part.get_content()) if part is not None else ""


def search(request: HttpRequest) -> HttpResponse:
    """Incidents, error groups, components and post-mortems by a few words."""
    words = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    found = _find(request, words) if words else []
    return page(request, "admin/search.html", title="Search", q=words, found=found)


def _find(request: HttpRequest, words: str) -> list[dict[str, Any]]:
    number = words.upper().removeprefix("INC-")
    incidents = Q(title__icontains=words) | (
        Q(pk=int(number)) if number.isdecimal() and len(number) < 10 else Q()
    )
    kinds: list[tuple[str, str, Any]] = [
        ("Incidents", "incidents.view_incident", Incident.objects.filter(incidents)),
        ("Error groups", "errors.view_errorgroup", ErrorGroup.objects.filter(title__icontains=words)),
        ("Post-mortems", "incidents.view_postmortem", PostMortem.objects.filter(
            Q(summary__icontains=words) | Q(root_cause__icontains=words)).select_related("incident")),
        ("Components", "projects.view_component", Component.objects.filter(name__icontains=words)),
    ]  # fmt: skip
    return [
        {"kind": kind, "rows": [_hit(row) for row in rows[:FOUND_PER_KIND]]}
        for kind, permission, rows in kinds
        if request.user.has_perm(permission)
    ]


def _hit(row: Any) -> dict[str, str]:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return {"label": str(row), "url": reverse(name, args=[row.pk])}
