"""The errors room."""

from django.apps import AppConfig
from django.conf import settings


class ErrorsConfig(AppConfig):
    """Owns error groups and events; opens no incidents."""

    name = "apps.errors"
    label = "errors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Events are cut by day; retention drops whole days."""
        from apps.core import partitions

        partitions.register(
            partitions.Partitioned("errors_errorevent", "day", keep_days=settings.ERROR_RETENTION_DAYS)
        )
