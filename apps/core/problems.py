"""The one error body: RFC 9457 (application/problem+json) and {code, message, details, requestId} at once.

Categories come from exception types and SQLSTATE, never from words of a message: whoever writes the message would
choose the category. Answers of 5xx carry fixed texts only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework import exceptions as api
from rest_framework.response import Response

from apps.core import context

log = structlog.get_logger("portal.problem")
CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """One kind of refusal: status, machine-readable code, title, the words for the person."""

    status: int
    code: str
    title: str
    message: str
    category: str = "unknown"


VALIDATION = Kind(400, "validation_error", "Validation failed", "The input is not valid.", "validation")
DUPLICATE = Kind(409, "duplicate", "Duplicate", "This value already exists", "validation")
CONFLICT = Kind(409, "conflict", "Conflict", "Somebody else changed this first.", "validation")
AUTHENTICATION = Kind(
    401, "not_authenticated", "Authentication required", "Authentication required", "authentication"
)
FORBIDDEN = Kind(403, "permission_denied", "Not allowed", "You may not do this.", "authorization")
NOT_FOUND = Kind(404, "not_found", "Not found", "There is nothing at this address.", "validation")
METHOD = Kind(405, "method_not_allowed", "Method not allowed", "Method not allowed.", "validation")
TOO_LARGE = Kind(413, "too_large", "Body too large", "The body is larger than the limit.", "validation")
CODING = Kind(
    415, "unsupported_media_type", "Not understood", "This content type is not read here.", "validation"
)
THROTTLED = Kind(429, "throttled", "Too many requests", "Too many requests; try again later.", "validation")
UNKNOWN = Kind(500, "error", "An error occurred", "An error occurred")
DATABASE = Kind(
    503,
    "database_connection",
    "Service temporarily unavailable",
    "Service temporarily unavailable",
    "database_connection",
)
TIMEOUT = Kind(504, "timeout", "Request timed out", "Request timed out, please try again", "timeout")
BY_STATUS = {
    k.status: k
    for k in (VALIDATION, CONFLICT, AUTHENTICATION, FORBIDDEN, NOT_FOUND, METHOD, TOO_LARGE, CODING, THROTTLED,
              UNKNOWN, DATABASE, TIMEOUT)
}  # fmt: skip


def body(kind: Kind, message: str = "", details: Iterable[Mapping[str, str]] = ()) -> dict[str, object]:
    """The document itself; `details` is always a list of {field, code, message}."""
    said = message or kind.message
    request_id = context.current().request_id
    return {
        "type": f"{settings.SITE_URL}/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": said,
        "instance": f"urn:uuid:{request_id}",
        "code": kind.code,
        "message": said,
        "details": list(details),
        "requestId": request_id,
    }


def problem(kind: Kind, message: str = "", details: Iterable[Mapping[str, str]] = ()) -> JsonResponse:
    """An answer with that body, for code outside the API framework."""
    return JsonResponse(body(kind, message, details), status=kind.status, content_type=CONTENT_TYPE)


def of_field(field: str, code: str, message: str) -> dict[str, str]:
    """One entry of `details`."""
    return {"field": field, "code": code, "message": message}


def kind_of(error: BaseException) -> Kind:
    """The kind of an exception that nobody expected, by type and SQLSTATE."""
    if isinstance(error, RequestDataTooBig):
        return TOO_LARGE
    if isinstance(error, SuspiciousOperation | DjangoValidationError):
        return VALIDATION
    if isinstance(error, PermissionDenied):
        return FORBIDDEN
    if isinstance(error, Http404):
        return NOT_FOUND
    if isinstance(error, DatabaseError | InterfaceError):
        return _kind_of_database(error)
    return UNKNOWN


def _kind_of_database(error: Exception) -> Kind:
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if state in ("57014", "55P03"):
        return TIMEOUT
    lost = isinstance(error, OperationalError | InterfaceError) and not state
    if lost or state.startswith("08") or state in ("57P01", "57P02", "57P03", "53300", "40001", "40P01"):
        return DATABASE
    if state == "23505":
        return DUPLICATE
    return VALIDATION if state.startswith(("22", "23")) else UNKNOWN


def _flatten(detail: object, path: str = "") -> list[dict[str, str]]:
    """Nested serializer errors as entries whose field is a path such as items[3].name."""
    if isinstance(detail, Mapping):
        return [e for k, v in detail.items() for e in _flatten(v, f"{path}.{k}" if path else str(k))]
    if isinstance(detail, list):
        nested = any(isinstance(item, Mapping | list) for item in detail)
        return [
            e for i, item in enumerate(detail) for e in _flatten(item, f"{path}[{i}]" if nested else path)
        ]
    field = "" if path == "non_field_errors" else path.removesuffix(".non_field_errors")
    return [of_field(field, str(getattr(detail, "code", "invalid")), str(detail))]


def _said(details: list[dict[str, str]], fallback: str) -> str:
    """The first detail in words; the rest stand in the list."""
    if not details:
        return fallback
    first = details[0]
    return f"{first['field']}: {first['message']}" if first["field"] else first["message"]


def _api_kind(error: api.APIException) -> Kind:
    base = BY_STATUS.get(error.status_code, UNKNOWN)
    if isinstance(error, api.ValidationError):
        return VALIDATION
    code = error.default_code if base.status < 500 else base.code
    return Kind(error.status_code, code, base.title, base.message, base.category)


def drf_exception_handler(error: Exception, _: dict[str, object]) -> Response:
    """What the API framework calls for every exception of a view."""
    if isinstance(error, DjangoValidationError):
        error = api.ValidationError(getattr(error, "message_dict", None) or [str(m) for m in error.messages])
    headers: dict[str, str] = {}
    if isinstance(error, api.APIException):
        kind = _api_kind(error)
        details = _flatten(error.detail) if kind.status < 500 else []
        if isinstance(error, api.Throttled | api.NotAuthenticated | api.AuthenticationFailed):
            details = []
        said = _said(details, str(error.detail) if kind.status < 500 else kind.message)
        headers = _headers(error)
    else:
        kind, details = kind_of(error), []
        said = kind.message
        if kind.status >= 500:
            log.exception("unexpected error", code=kind.code, exc_info=error)
    return Response(body(kind, said, details), kind.status, headers=headers, content_type=CONTENT_TYPE)


def _headers(error: api.APIException) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait) + 1)  # type: ignore[attr-defined]
    return headers


def _wants_html(request: HttpRequest) -> bool:
    return not request.path.startswith(("/api", "/v2")) and request.accepts("text/html")


def _answer(request: HttpRequest, kind: Kind) -> HttpResponse:
    if _wants_html(request):
        return render(request, f"{kind.status}.html", {"problem": body(kind)}, status=kind.status)
    return problem(kind)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    return _answer(request, kind_of(exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return _answer(request, FORBIDDEN)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    return _answer(request, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: a lost database is 503 and says so, all else is 500 and says nothing."""
    import sys

    error = sys.exc_info()[1]
    kind = kind_of(error) if error else UNKNOWN
    kind = kind if kind.status >= 500 else UNKNOWN
    if _wants_html(request):
        return render(None, "500.html", {"problem": body(kind)}, status=kind.status)  # type: ignore[arg-type]
    return problem(kind)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: names the usual cause, a proxy that hides the address people open."""
    hint = f"The form's token did not match. The portal expects to be opened at {settings.SITE_URL}."
    if _wants_html(request):
        return render(request, "403.html", {"problem": body(FORBIDDEN, hint)}, status=403)
    return problem(FORBIDDEN, hint, [of_field("", "csrf_failed", reason)])
