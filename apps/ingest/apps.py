"""The ingest room."""

from django.apps import AppConfig


class IngestConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.ingest"
    label = "ingest"
    default_auto_field = "django.db.models.BigAutoField"
