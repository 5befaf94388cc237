"""Sign-in, sign-out, failures and lock-outs, from Django's and axes' own signals: the only ones listened to here."""

from collections.abc import Mapping
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from apps.audit import services
from apps.audit.models import Category, Outcome
from apps.core import context


def typed_name(request: HttpRequest | None, credentials: Mapping[str, Any] | None) -> str | None:
    """A typed login name is not stored, here or by axes (AXES_USERNAME_CALLABLE): people type passwords there.

    The keyed digest still joins repeated tries, and tells nothing to who reads the table.
    """
    given = credentials or (request.POST if request is not None else {})
    name = given.get("username")
    return None if name is None else "name:" + salted_hmac("portal.typed-name", str(name)).hexdigest()[:16]


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
    name = typed_name(None, credentials)
    services.log_auth_event(user=name or "", action="session.login", outcome=Outcome.FAILURE)


@receiver(user_locked_out)
def locked_out(username: str | None = None, **_: Any) -> None:
    """security.lockout: the lock-out rule of alerts finds it here on its next tick, with the address in `ip`."""
    services.log_security_event(
        action="security.lockout", resource=("user", username or ""), outcome=Outcome.DENIED
    )


class PasswordChanges:
    """user.password. Django tells its password validators of each change, whichever page made it.

    At the shell there is no request, and whoever stands there is beyond this log anyway.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Every password passes here."""

    def get_help_text(self) -> str:
        """Shown below the field."""
        return "A change of the password is noted in the audit log."

    def password_changed(self, password: str, user: Any = None) -> None:
        """After it was stored."""
        if context.current().actor_type != "system":
            services.record("user.password", category=Category.SECURITY, resource=user)
