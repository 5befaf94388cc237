"""The incidents room."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.incidents"
    label = "incidents"
    default_auto_field = "django.db.models.BigAutoField"
