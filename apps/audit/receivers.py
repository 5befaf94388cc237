"""Sign-in, sign-out, failures and lock-outs, from Django's and axes' own signals: the only ones listened to here."""

import hashlib
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from apps.audit import services
from apps.audit.models import Category, Outcome
from apps.core import context


def _unknown(name: object) -> str:
    """A typed login name is not stored: people type passwords there. The digest still joins repeated tries."""
    return "name:" + hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()[:16]


@receiver(user_logged_in)
def signed_in(user: Any, **_: Any) -> None:
    """session.login"""
    services.record("session.login", category=Category.AUTH, resource=user, actor=user)


@receiver(user_logged_out)
def signed_out(user: Any, **_: Any) -> None:
    """session.logout"""
    if user is not None:
        services.record("session.logout", category=Category.AUTH, resource=user, actor=user)


@receiver(user_login_failed)
def sign_in_failed(credentials: dict[str, Any], **_: Any) -> None:
    """session.login that failed"""
    name = _unknown(credentials.get("username", ""))
    services.log_auth_event(user=name, action="session.login", outcome=Outcome.FAILURE)


@receiver(user_locked_out)
def locked_out(username: str | None = None, **_: Any) -> None:
    """security.lockout: the lock-out rule of alerts finds it here on its next tick."""
    name, address = _unknown(username or ""), context.current().address
    services.log_security_event(
        action="security.lockout",
        resource=("user", name),
        outcome=Outcome.DENIED,
        details={"address": address or ""},
    )
