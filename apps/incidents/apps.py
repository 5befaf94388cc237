"""The incidents room."""

from django.apps import AppConfig

from apps.core import grants


class IncidentsConfig(AppConfig):
    """Owns incidents and post-mortems; does not know who is on call."""

    name = "apps.incidents"
    label = "incidents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The timeline is append-only for the app role."""
        grants.append_only_tables.add("incidents_timelineentry")
