"""The core room."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """What every room stands on; nothing that people edit."""

    name = "apps.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """System checks."""
        from apps.core import checks  # noqa: F401
