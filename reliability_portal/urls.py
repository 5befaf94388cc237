"""Every address of the portal. Each answers with and without a trailing slash, without a redirect."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from apps.core import views as core

urlpatterns = [
    re_path(r"^api/live/?$", core.live, name="live"),
    re_path(r"^api/ready/?$", core.ready, name="ready"),
    path("", include("apps.ingest.urls")),
    path("", include("apps.alerts.urls")),
    path("", include("apps.incidents.urls")),
    path("", include("apps.reports.urls")),
    path("zone/", core.set_zone, name="set_zone"),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]
handler400 = "apps.core.problems.bad_request"
handler403 = "apps.core.problems.permission_denied"
handler404 = "apps.core.problems.page_not_found"
handler500 = "apps.core.problems.server_error"
