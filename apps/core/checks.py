"""System checks: what would bite later, said at start, each with a hint that can be followed."""

import zoneinfo
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from apps.core import grants


@register(Tags.security)
def one_role(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """W001: without an owner of its own the application could change its audit log."""
    # Only `migrate` is given the owner's address in a good installation, so only commands can tell.
    if grants.two_roles() or not settings.DATABASE_URL or settings.PORTAL_PROCESS != "command":
        return []
    return [
        Warning(
            "Owner and application use one database role: only triggers guard the audit log.",
            hint="Set DATABASE_OWNER_URL to a second role that owns the tables; see docs/reference/settings.md.",
            id="portal.W001",
        )
    ]


@register()
def mail_server(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """W002: pages by mail would only be written to files."""
    if settings.SMTP_HOST or not settings.PRODUCTION:
        return []
    return [
        Warning(
            "No mail server: pages by e-mail are kept as files under var/mail and reach nobody.",
            hint="Set SMTP_HOST, SMTP_PORT, SMTP_USER and SMTP_PASS.",
            id="portal.W002",
        )
    ]


@register()
def zone_exists(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """E001: a time zone that does not exist."""
    if settings.PORTAL_TIME_ZONE in zoneinfo.available_timezones():
        return []
    return [
        Error(
            f"PORTAL_TIME_ZONE={settings.PORTAL_TIME_ZONE!r} is no IANA time zone.",
            hint="Use a name such as Europe/Berlin, or UTC.",
            id="portal.E001",
        )
    ]


@register(Tags.security)
def plain_http(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """W003: production over plain http sends sessions in clear."""
    if settings.HTTPS or not settings.PRODUCTION:
        return []
    return [
        Warning(
            f"SITE_URL={settings.SITE_URL} is plain http: sessions and tokens travel in clear.",
            hint="Put a proxy with TLS in front, set SITE_URL=https://… and TRUSTED_PROXY_COUNT.",
            id="portal.W003",
        )
    ]
