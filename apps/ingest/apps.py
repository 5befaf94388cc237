"""The ingest room."""

from django.apps import AppConfig


class IngestConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.ingest"
    label = "ingest"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The page of storage asks what waits, a project's page what it used of its quotas."""
        from apps.core import panels
        from apps.ingest import queries

        panels.register("reports.storage", "waiting", "ingest", queries.storage_panel)
        panels.register("projects.Project", "side", "quotas", queries.quota_panel)
