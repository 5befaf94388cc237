"""The core room."""

from urllib.parse import unquote, urlsplit

from django.apps import AppConfig
from django.conf import settings


class CoreConfig(AppConfig):
    """What every room stands on; nothing that people edit."""

    name = "apps.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """System checks; the installation's own secrets are never written into a log, an event or the audit."""
        from apps.core import checks  # noqa: F401
        from apps.core.scrub import register_secrets

        register_secrets(
            [
                settings.SECRET_KEY,
                settings.EMAIL_HOST_PASSWORD,
                settings.SLACK_WEBHOOK_URL,
                *settings.PORTAL_ENCRYPTION_KEYS,
                *map(_password, (settings.DATABASE_URL, settings.DATABASE_OWNER_URL, settings.REDIS_URL)),
            ]
        )


def _password(url: str) -> str:
    """Of an address of a server, as a driver's message would show it."""
    return unquote(urlsplit(url).password or "")
