"""Addresses of the reports room outside the admin."""

from django.urls import re_path

from apps.reports.analytics import api

app_name = "reports"
urlpatterns = [
    re_path(r"^api/analytics/?$", api.AnalysisList.as_view(), name="api_analyses"),
    re_path(r"^api/analytics/(?P<block>[a-z0-9-]{1,64})/?$", api.Analysis.as_view(), name="api_analysis"),
]
