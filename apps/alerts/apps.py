"""The alerts room."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.alerts"
    label = "alerts"
    default_auto_field = "django.db.models.BigAutoField"
