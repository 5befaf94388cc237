"""The composition root as an app: the commands that need the whole house, and the roles."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    """Wires the rooms together; nothing imports it."""

    name = "reliability_portal"
    label = "portal"
    default_auto_field = "django.db.models.BigAutoField"


class PortalAdminConfig(AdminConfig):
    """Django's admin with the portal's own site, on which every room registers with `@admin.register`."""

    default_site = "reliability_portal.admin.PortalAdminSite"
