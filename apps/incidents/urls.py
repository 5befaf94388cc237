"""Addresses of incidents: the API. Each answers with and without a trailing slash."""

from django.urls import re_path

from apps.incidents import api

app_name = "incidents"
_one = r"^api/reliability/incidents/(?P<pk>[0-9]{1,18})"
urlpatterns = [
    re_path(r"^api/reliability/incidents/?$", api.IncidentList.as_view(), name="api_list"),
    re_path(r"^api/reliability/incidents/stats/?$", api.IncidentStats.as_view(), name="api_stats"),
    re_path(rf"{_one}/?$", api.IncidentDetail.as_view(), name="api_detail"),
    re_path(rf"{_one}/notes/?$", api.IncidentNote.as_view(), name="api_notes"),
]
