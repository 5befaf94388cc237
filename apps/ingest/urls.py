"""The JSON doors. The Sentry door stands in front of Django: see reliability_portal/wsgi.py."""

from django.urls import path, re_path

from apps.ingest import api, reporter, track

urlpatterns = [
    path("reporter.js", reporter.serve, name="reporter"),
    re_path(r"^api/errors/?$", api.server, name="errors"),
    re_path(r"^api/errors/client/?$", api.client, name="errors-client"),
    re_path(r"^api/errors/batch/?$", api.batch, name="errors-batch"),
    re_path(r"^api/analytics/track/?$", track.track, name="track"),
]
