"""Where Slack calls, and where people link their account."""

from django.contrib import admin
from django.urls import path, re_path

from apps.alerts.slack import views

urlpatterns = [
    re_path(r"^api/integrations/slack/interactive/?$", views.interactive, name="slack_interactive"),
    path("admin/slack/link/", admin.site.admin_view(views.link), name="slack_link"),
]
