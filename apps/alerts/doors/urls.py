"""Addresses of the doors for other tools. Each answers with and without a trailing slash."""

from django.urls import re_path

from apps.alerts.doors import views

_key = r"(?P<key>[0-9A-Za-z_-]{1,100})"
urlpatterns = [
    re_path(rf"^api/integrations/alertmanager/{_key}/?$", views.alertmanager_door, name="door_alertmanager"),
    re_path(rf"^api/integrations/json/{_key}/?$", views.json_door, name="door_json"),
    re_path(r"^v2/enqueue/?$", views.events_door, name="door_events"),
    re_path(r"^v2/change/enqueue/?$", views.changes_door, name="door_changes"),
]
