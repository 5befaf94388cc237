"""The alerts room."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Decides and pages; never imported by a room that holds facts."""

    name = "apps.alerts"
    label = "alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """What this room knows is shown on the pages of incidents and post-mortems."""
        from apps.alerts import queries
        from apps.core import panels

        panels.register("incidents.Incident", "side", "alerts", queries.alerts_panel)
        panels.register("incidents.Incident", "side", "paging", queries.paging_panel)
        panels.register("incidents.PostMortem", "facts", "alerts", queries.postmortem_panel)
