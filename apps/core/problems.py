"""The one error body: RFC 9457 (application/problem+json) and {code, message, details, requestId} at once.

Categories come from exception types and SQLSTATE, never from words of a message: whoever writes the message would
choose the category. Answers of 5xx carry fixed texts only.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.template import loader
from rest_framework import exceptions as api
from rest_framework.fields import get_error_detail
from rest_framework.response import Response

from apps.core import context
from apps.core.refusal import TooManyLarge
from apps.core.text import storable

log = structlog.get_logger("portal.problem")
CONTENT_TYPE = "application/problem+json"
_MACHINE_PATHS = re.compile(r"/(api|v2)(/|$)")


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
NOT_ACCEPTABLE = Kind(406, "not_acceptable", "Not acceptable", "Only JSON is written here.", "validation")
SLOW = Kind(408, "too_slow", "Body too slow", "The body did not come in time.", "validation")
TOO_LARGE = Kind(413, "too_large", "Body too large", "The body is larger than the limit.", "validation")
CODING = Kind(
    415, "unsupported_media_type", "Not understood", "This content type is not read here.", "validation"
)
THROTTLED = Kind(429, "throttled", "Too many requests", "Too many requests; try again later.", "validation")
UNKNOWN = Kind(500, "error", "An error occurred", "An error occurred")
NETWORK = Kind(502, "network", "Network error", "Network error, retrying...", "network")
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
    for k in (VALIDATION, CONFLICT, AUTHENTICATION, FORBIDDEN, NOT_FOUND, METHOD, NOT_ACCEPTABLE, SLOW, TOO_LARGE,
              CODING, THROTTLED, UNKNOWN, NETWORK, DATABASE, TIMEOUT)
}  # fmt: skip


def kind_of_status(status: int) -> Kind:
    """The kind for a status that something else has already chosen."""
    if status in BY_STATUS:
        return BY_STATUS[status]
    base = UNKNOWN if status >= 500 else VALIDATION
    title = HTTPStatus(status).phrase
    return Kind(status, title.lower().replace(" ", "_"), title, f"{title}.", base.category)


def body(kind: Kind, message: str = "", details: Iterable[Mapping[str, str]] = ()) -> dict[str, object]:
    """The document itself; `details` is always a list of {field, code, message}."""
    said = storable(message or kind.message)
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
    return {"field": storable(field), "code": code, "message": storable(message)}


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
    if isinstance(error, UnreadablePostError):
        return _kind_of_unread(error)
    if isinstance(error, TimeoutError):
        return TIMEOUT
    return NETWORK if isinstance(error, ConnectionError) else UNKNOWN


def _kind_of_unread(error: UnreadablePostError) -> Kind:
    """The sender was too slow, or one of too many with large bodies, or went away."""
    if isinstance(error.__cause__, TimeoutError):
        return SLOW
    return THROTTLED if isinstance(error.__cause__, TooManyLarge) else VALIDATION


def _kind_of_database(error: Exception) -> Kind:
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if state in ("57014", "55P03"):
        return TIMEOUT
    lost = isinstance(error, OperationalError | InterfaceError) and not state
    if lost or state.startswith("08") or state in ("57P01", "57P02", "57P03", "53300", "40001", "40P01"):
        return DATABASE
    if state == "23505":
        return DUPLICATE
    # The driver refuses NUL by itself, so without a state.
    return VALIDATION if isinstance(error, DataError) or state.startswith(("22", "23")) else UNKNOWN


def _flatten(detail: object, path: str = "") -> list[dict[str, str]]:
    """Nested serializer errors as entries whose field is a path such as items[3].name."""
    if isinstance(detail, Mapping):
        return [e for k, v in detail.items() for e in _flatten(v, _below(path, k))]
    if isinstance(detail, list):
        nested = any(isinstance(item, Mapping | list) for item in detail)
        return [
            e for i, item in enumerate(detail) for e in _flatten(item, f"{path}[{i}]" if nested else path)
        ]
    return [of_field(_field(path), str(getattr(detail, "code", "invalid")), str(detail))]


def _below(path: str, key: object) -> str:
    """Lists of forms come as mappings from their numbers."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def _field(path: str) -> str:
    """Without the names that the two frameworks give to what concerns no single field."""
    for name in ("non_field_errors", "__all__"):
        path = "" if path == name else path.removesuffix(f".{name}")
    return path


def _said(details: list[dict[str, str]], fallback: str) -> str:
    """The first detail in words; the rest stand in the list."""
    if not details:
        return fallback
    first = details[0]
    return f"{first['field']}: {first['message']}" if first["field"] else first["message"]


def _api_kind(error: api.APIException) -> Kind:
    base = kind_of_status(error.status_code)
    if isinstance(error, api.ValidationError) or base.status >= 500:
        return base
    return replace(base, code=error.default_code)


def drf_exception_handler(error: Exception, _: dict[str, object]) -> Response:
    """What the API framework calls for every exception of a view."""
    if isinstance(error, DjangoValidationError):
        error = api.ValidationError(get_error_detail(error))
    if not isinstance(error, api.APIException):
        return _in_api(_logged(error))
    kind = _api_kind(error)
    if kind.status >= 500:
        return _in_api(_logged(error, kind))
    details = _flatten(error.detail)
    said = kind.message if isinstance(error, api.NotAuthenticated) else _said(details, kind.message)
    speaks_of_input = isinstance(error, api.ValidationError | api.ParseError)
    return _in_api(kind, said, details if speaks_of_input else [], _headers(error))


def _in_api(
    kind: Kind,
    said: str = "",
    details: Iterable[Mapping[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    return Response(body(kind, said, details), kind.status, headers=headers, content_type=CONTENT_TYPE)


def _logged(error: BaseException, kind: Kind | None = None) -> Kind:
    """The kind of what nobody expected, after it was logged: our own refusals come as exceptions that say so.

    What the database refused is a bug even where the answer is 4xx: it should not have got that far.
    """
    kind = kind or kind_of(error)
    if kind.status >= 500 or isinstance(error, DatabaseError):
        log.error("unexpected error", code=kind.code, exc_info=error)
    return kind


def _headers(error: api.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait_s := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, wait_s))
    return headers


def _wants_html(request: HttpRequest) -> bool:
    """Only who asks for HTML by name gets it, and nobody on the paths of machines."""
    asked = any(str(kind) == "text/html" for kind in request.accepted_types)
    return asked and not _MACHINE_PATHS.match(request.path)


def _answer(
    request: HttpRequest, kind: Kind, message: str = "", details: Iterable[Mapping[str, str]] = ()
) -> HttpResponse:
    if not _wants_html(request):
        return problem(kind, message, details)
    # A page of an error must not need what just failed: those of 5xx get no request, so no session and no user.
    given, rest = (None, "500.html") if kind.status >= 500 else (request, "400.html")
    page = loader.select_template((f"{kind.status}.html", rest))
    return HttpResponse(page.render({"problem": body(kind, message, details)}, given), status=kind.status)


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
    """handler500: by the kind of what was raised, so a lost database is 503; the words are fixed ones."""
    error = sys.exc_info()[1]
    kind = kind_of(error) if error else UNKNOWN
    if kind.status < 500:  # 5xx Django logs itself
        log.error("unexpected error", code=kind.code, exc_info=error)
    return _answer(request, kind)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: names the usual cause, a proxy that hides the address people open."""
    hint = f"The form's token did not match. The portal expects to be opened at {settings.SITE_URL}."
    return _answer(request, FORBIDDEN, hint, [of_field("", "csrf_failed", reason)])


def locked_out(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: the same words for names that exist and names that do not."""
    wait: timedelta = settings.AXES_COOLOFF_TIME
    said = f"Too many failed sign-ins. Try again in {int(wait.total_seconds() // 60)} minutes."
    answer = _answer(request, THROTTLED, said)
    answer["Retry-After"] = str(int(wait.total_seconds()))
    return answer


class OneErrorBodyMiddleware:
    """Refusals that decorators and libraries write by themselves (405 without a body) get the one body too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # No address of ours holds NUL, and every look-up by one would end in the database's refusal.
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return _answer(request, VALIDATION, "An address cannot hold NUL.")
        return _in_one_body(request, self.get_response(request))


def _in_one_body(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    is_json = response.get("Content-Type", "").startswith(("application/json", CONTENT_TYPE))
    if response.status_code < 400 or response.streaming or is_json:
        return response
    if response.content and _wants_html(request):
        return response
    answer = _answer(request, kind_of_status(response.status_code))
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in response:
            answer[name] = response[name]
    return answer
