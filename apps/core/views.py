"""Probes and the few pages that belong to no other room."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from apps.core.models import TickRun
from apps.core.zones import known_zone


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The process answers: no database, no broker."""
    return JsonResponse({"status": "pass"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Whether this portal does its work: the database answers, ticks run and none is late. 503 names what is not."""
    now = timezone.now()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        runs = list(TickRun.objects.all())
    except DatabaseError:
        return _state(False, database="fail", ticks=0, late={})
    late = {str(run): seconds for run in runs if (seconds := run.late_s(now))}
    return _state(bool(runs) and not late, database="pass", ticks=len(runs), late=late)


def _state(well: bool, **facts: object) -> JsonResponse:
    return JsonResponse(
        {"status": "pass" if well else "fail", **facts},
        status=200 if well else 503,
        headers={"Cache-Control": "no-store"},
    )


@require_POST
def set_zone(request: HttpRequest) -> HttpResponse:
    """The time zone that pages show to this person; back to where they were."""
    if known_zone(request.POST.get("zone", "")):
        request.session["zone"] = request.POST["zone"]
    back = request.POST.get("next", "/")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(back if safe else "/")
