"""The composition root as an app: the commands that need the whole house, and the roles."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Wires the rooms together; nothing imports it."""

    name = "reliability_portal"
    label = "portal"
    default_auto_field = "django.db.models.BigAutoField"
