"""Addresses of alerts: the API, and the buttons that stop paging."""

from django.contrib import admin
from django.urls import path, re_path

from apps.alerts import api, views

app_name = "alerts"
_protected = admin.site.admin_view
urlpatterns = [
    re_path(r"^api/reliability/alerts/?$", api.AlertList.as_view(), name="api_list"),
    re_path(r"^api/reliability/alerts/stats/?$", api.AlertStats.as_view(), name="api_stats"),
    re_path(
        r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/acknowledge/?$", api.AlertAcknowledge.as_view(),
        name="api_acknowledge",
    ),
    re_path(
        r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/resolve/?$", api.AlertResolve.as_view(),
        name="api_resolve",
    ),
    path(
        "incidents/<int:pk>/acknowledge/", _protected(views.acknowledge_incident), name="acknowledge_incident"
    ),
    path("incidents/<int:pk>/resolve/", _protected(views.resolve_incident), name="resolve_incident"),
    path("incidents/acknowledge/", _protected(views.acknowledge_incidents), name="acknowledge_incidents"),
]  # fmt: skip
