"""Who asks, from where, under which id: carried into logs, errors, audit, tasks and responses.

A ContextVar set by the first middleware and by the worker before a task; reset in `finally`, so that nothing of one
request leaks into the next one on the same thread.
"""

import re
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.log import log_response
from ua_parser import parse_device, parse_os

from apps.core.text import storable

_CORRELATION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOBILE_SYSTEMS = {"Android", "iOS", "Windows Phone", "BlackBerry OS", "KaiOS"}
_DESKTOP_SYSTEMS = {"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD"}
MOBILE, DESKTOP, UNKNOWN = "mobile", "desktop", "unknown"


@dataclass(frozen=True)
class RequestContext:
    """Facts of one request or task. `actor_*` follow the audit log: user, api_key, celery, system, anonymous."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    correlation_id: str = ""
    actor_type: str = "system"
    actor_id: str = ""
    actor_label: str = "system"
    endpoint: str = ""
    method: str = ""
    user_agent: str = ""
    device_type: str = UNKNOWN
    address: str | None = None
    task_id: str = ""
    at: datetime = field(default_factory=timezone.now)


_current: ContextVar[RequestContext | None] = ContextVar("portal_context", default=None)


def current() -> RequestContext:
    """The context in force; outside requests and tasks a fresh one of the system."""
    return _current.get() or RequestContext()


def amend(**facts: str) -> None:
    """Add what becomes known on the way (the user after authentication, the route after resolving)."""
    held = _current.get()
    if held is not None:
        _current.set(replace(held, **facts))  # type: ignore[arg-type]


@contextmanager
def entered(context: RequestContext) -> Iterator[RequestContext]:
    """Hold a context for one unit of work."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


@lru_cache(maxsize=2048)
def device_type(user_agent: str) -> str:
    """mobile, desktop or unknown, by the maintained patterns of ua-parser; never raises."""
    if not user_agent:
        return UNKNOWN
    device = parse_device(user_agent[:512])
    if device and device.family == "Spider":  # first: crawlers pose as telephones
        return UNKNOWN
    system = parse_os(user_agent[:512])
    family = system.family if system else ""
    if family in _MOBILE_SYSTEMS:
        return MOBILE
    return DESKTOP if family in _DESKTOP_SYSTEMS else UNKNOWN


def client_address(request: HttpRequest) -> str | None:
    """The caller's address behind TRUSTED_PROXY_COUNT proxies: counted from the right, never the leftmost entry,
    which the caller writes. What is not an address gives None."""
    peer = request.META.get("REMOTE_ADDR", "")
    hops = [h.strip() for h in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if h.strip()]
    chain = [*hops, peer]
    count: int = settings.TRUSTED_PROXY_COUNT
    entry = chain[-1 - count] if len(chain) > count else peer
    try:
        return str(ip_address(entry.split("%")[0]))
    except ValueError:
        return None


def of_request(request: HttpRequest) -> RequestContext:
    """The context of a request before anything else has looked at it."""
    given = (request.META.get(name, "") for name in ("HTTP_X_REQUEST_ID", "HTTP_X_CORRELATION_ID"))
    agent = storable(request.META.get("HTTP_USER_AGENT", "")[:512])
    return RequestContext(
        correlation_id=next((text for text in given if _CORRELATION.fullmatch(text)), ""),
        actor_type="anonymous",
        actor_label="anonymous",
        method=request.method or "",
        user_agent=agent,
        device_type=device_type(agent),
        address=client_address(request),
    )


class RequestContextMiddleware:
    """First of all middlewares: the id is in every answer, also in those of the middlewares below."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with entered(of_request(request)) as context:
            response = self.get_response(request)
            response["X-Request-ID"] = context.request_id
            if response.status_code >= 500:  # here, since Django would do it when the id is gone
                log_response(
                    "%s: %s", response.reason_phrase, request.path, response=response, request=request
                )
            return response


class WhoAndWhereMiddleware:
    """After authentication: the signed-in user joins the context, and pages show that person's time zone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated:
            amend(actor_type="user", actor_id=str(user.pk), actor_label=user.get_username())
        with timezone.override(zone_of(request)):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> None:
        """The route's pattern, not the raw path, names the endpoint."""
        if request.resolver_match:
            amend(endpoint=request.resolver_match.route)


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The zone a person chose for this session, else the portal's."""
    name = request.session.get("zone") or settings.PORTAL_TIME_ZONE
    try:
        return zoneinfo.ZoneInfo(name)
    except (
        zoneinfo.ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ):  # OSError: a folder of zones, such as Europe
        return zoneinfo.ZoneInfo("UTC")


def page(request: HttpRequest) -> dict[str, object]:
    """What every template may show: the environment's name and the zone."""
    return {
        "portal_env": settings.PORTAL_ENV,
        "zone_name": timezone.get_current_timezone_name(),
        "site_url": settings.SITE_URL,
    }
