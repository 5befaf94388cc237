"""Addresses that fail in every way, added to the portal's own for the tests of the error body and the context."""

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import connection
from django.http import Http404, HttpResponse, HttpResponseBadRequest, HttpResponseNotAllowed, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST
from rest_framework import exceptions as api
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit import services as audit
from apps.core import context
from apps.projects.authentication import scope
from reliability_portal.urls import handler400, handler403, handler404, handler500  # noqa: F401
from reliability_portal.urls import urlpatterns as portal_urls

CANARY = "hunter2-canary"


class Conflict(api.APIException):
    status_code = 409
    default_code = "conflict"
    default_detail = "Somebody was faster."


class Unavailable(api.APIException):
    status_code = 503
    default_detail = f"redis://user:{CANARY}@10.0.0.1 is away"


def sql(statement):
    def refuse():
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return refuse


def throw(error):
    def raise_it():
        raise error

    return raise_it


def look_up_nul():
    audit.AuditEvent.objects.filter(action="a\0b").exists()


WAYS = {
    "validation": throw(api.ValidationError({"severity": ["no"], "items": [{}, {"name": ["missing"]}]})),
    "django-validation": throw(DjangoValidationError({"name": DjangoValidationError("short", code="min")})),
    "parse": throw(api.ParseError("broken at 3")),
    "unauthenticated": throw(api.NotAuthenticated()),
    "bad-token": throw(api.AuthenticationFailed()),
    "api-forbidden": throw(api.PermissionDenied()),
    "forbidden": throw(PermissionDenied(CANARY)),
    "api-missing": throw(api.NotFound()),
    "missing": throw(Http404(CANARY)),
    "method": throw(api.MethodNotAllowed("BREW")),
    "acceptable": throw(api.NotAcceptable()),
    "conflict": throw(Conflict()),
    "media": throw(api.UnsupportedMediaType("text/x")),
    "throttled": throw(api.Throttled(wait=41.2)),
    "throttled-now": throw(api.Throttled(wait=0)),
    "suspicious": throw(SuspiciousOperation(CANARY)),
    "unavailable": throw(Unavailable()),
    "bug": throw(RuntimeError(f"SELECT secret FROM /srv/{CANARY}")),
    "timeout-call": throw(TimeoutError(CANARY)),
    "network-call": throw(ConnectionRefusedError(CANARY)),
    "db-lost": sql("SELECT pg_terminate_backend(pg_backend_pid())"),
    "db-timeout": sql("SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(5)"),
    "db-syntax": sql(f"SELEC '{CANARY}'"),
    "db-duplicate": sql(
        f"INSERT INTO auth_group (name) VALUES ('{CANARY}'); INSERT INTO auth_group (name) VALUES ('{CANARY}')"
    ),
    "db-check": sql(f"INSERT INTO auth_group (name) VALUES (repeat('{CANARY}', 99))"),
    "db-nul": look_up_nul,
}


class FailsInApi(APIView):
    permission_classes = (AllowAny,)

    def get(self, request, way):
        WAYS[way]()

    post = get


class Item(serializers.Serializer):
    name = serializers.CharField(max_length=5)


class Form(serializers.Serializer):
    severity = serializers.ChoiceField(["error", "info"])
    items = Item(many=True)


class Accepts(APIView):
    permission_classes = (AllowAny,)

    def post(self, request):
        Form(data=request.data).is_valid(raise_exception=True)
        return Response({"ok": True})


class WhoAmI(APIView):
    permission_classes = (scope("api:read"),)

    def get(self, request):
        return Response({"actor": audit.record("probe.read", actor=request.user).actor_type})

    def put(self, request):
        self.permission_denied(request)


class NeedsRight(APIView):
    permission_classes = (scope("incidents:write", "auth.add_user"),)

    def get(self, request):
        return Response({})


def fails(request, way):
    WAYS[way]()


def show(request, number=0):
    """The context in force, as a view sees it, and an audit row made from it."""
    held = context.current()
    audit.record("probe.seen")
    facts = {name: getattr(held, name) for name in (
        "request_id", "correlation_id", "actor_type", "actor_id", "actor_label", "endpoint", "method", "user_agent",
        "device_type", "address",
    )}  # fmt: skip
    return JsonResponse(facts | {"zone": timezone.get_current_timezone_name()})


def bare(request, status):
    return {
        "400": lambda: HttpResponseBadRequest(),
        "405": lambda: HttpResponseNotAllowed(["PUT"]),
        "410": lambda: HttpResponse(CANARY, status=410),
        "500": lambda: HttpResponse(CANARY, status=500),
    }[status]()


@require_POST
def form(request):
    return JsonResponse({"fields": len(request.POST)})


def pages(prefix):
    return [
        path(f"{prefix}plain/<str:way>", fails),
        path(f"{prefix}bare/<str:status>", bare),
        path(f"{prefix}form", form),
        path(f"{prefix}show/<int:number>", show),
        path(f"{prefix}show", show),
    ]


urlpatterns = [
    *portal_urls,
    path("api/probe/fails/<str:way>", FailsInApi.as_view()),
    path("api/probe/accepts", Accepts.as_view()),
    path("api/probe/who", WhoAmI.as_view()),
    path("api/probe/right", NeedsRight.as_view()),
    *pages("api/probe/"),
    *pages("probe/"),
]
