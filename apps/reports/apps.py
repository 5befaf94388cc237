"""The reports room."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.reports"
    label = "reports"
    default_auto_field = "django.db.models.BigAutoField"
