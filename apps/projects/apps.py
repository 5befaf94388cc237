"""The projects room."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """See docs/explanation/rooms.md for what this room owns and what it must not do."""

    name = "apps.projects"
    label = "projects"
    default_auto_field = "django.db.models.BigAutoField"
