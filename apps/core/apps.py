"""The core room."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
