"""The health room."""

from django.apps import AppConfig


class HealthConfig(AppConfig):
    """Owns heartbeats and what reported to them."""

    name = "apps.health"
    label = "health"
    default_auto_field = "django.db.models.BigAutoField"
