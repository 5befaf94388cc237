"""The admin site: the menu by task, and triage as its home."""

from django.contrib import admin


class PortalAdminSite(admin.AdminSite):
    """Django's admin with the portal's shell."""

    site_header = site_title = "Reliability portal"
    index_title = "Triage"
    enable_nav_sidebar = False

