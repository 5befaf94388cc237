"""The errors room."""

from django.apps import AppConfig


class ErrorsConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.errors"
    label = "errors"
    default_auto_field = "django.db.models.BigAutoField"
