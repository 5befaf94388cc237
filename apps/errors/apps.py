"""The errors room."""

from django.apps import AppConfig
from django.conf import settings


class ErrorsConfig(AppConfig):
    """Owns error groups and events; opens no incidents."""

    name = "apps.errors"
    label = "errors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Events are cut by day; retention drops whole days, once no project keeps them."""
        from apps.core import partitions
        from apps.errors import retention

        days = settings.ERROR_RETENTION_DAYS
        partitions.register(
            partitions.Partitioned(
                retention.EVENTS, "day", keep_days=days, longest=retention.longest_kept_days
            )
        )
