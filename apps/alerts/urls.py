"""Addresses of alerts: the API, and the buttons that stop paging."""

from django.contrib import admin
from django.urls import path, re_path

from apps.alerts import api, views
from apps.alerts.answering.urls import urlpatterns as answering
from apps.alerts.confidence import api as confidence_api
from apps.alerts.confidence import views as confidence_views
from apps.alerts.doors.urls import urlpatterns as doors
from apps.alerts.oncall import api as oncall_api
from apps.alerts.oncall import views as oncall_views
from apps.alerts.slack.urls import urlpatterns as slack
from apps.alerts.twilio.urls import urlpatterns as twilio

app_name = "alerts"
_incident = r"^api/reliability/incidents/(?P<pk>[0-9]{1,18})"
_protected = admin.site.admin_view
urlpatterns = [
    *doors,
    *answering,
    *slack,
    *twilio,
    re_path(r"^api/reliability/alerts/?$", api.AlertList.as_view(), name="api_list"),
    re_path(r"^api/reliability/alerts/stats/?$", api.AlertStats.as_view(), name="api_stats"),
    re_path(r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/?$", api.AlertDetail.as_view(), name="api_detail"),
    re_path(rf"{_incident}/acknowledge/?$", api.IncidentAcknowledge.as_view(), name="api_incident_acknowledge"),
    re_path(rf"{_incident}/resolve/?$", api.IncidentResolve.as_view(), name="api_incident_resolve"),
    re_path(rf"{_incident}/move/?$", api.IncidentMove.as_view(), name="api_incident_move"),
    re_path(
        r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/acknowledge/?$", api.AlertAcknowledge.as_view(),
        name="api_acknowledge",
    ),
    re_path(
        r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/resolve/?$", api.AlertResolve.as_view(),
        name="api_resolve",
    ),
    re_path(
        r"^api/reliability/alerts/(?P<pk>[0-9]{1,18})/snooze/?$", api.AlertSnooze.as_view(),
        name="api_snooze",
    ),
    path(
        "incidents/<int:pk>/acknowledge/", _protected(views.acknowledge_incident), name="acknowledge_incident"
    ),
    path("incidents/<int:pk>/resolve/", _protected(views.resolve_incident), name="resolve_incident"),
    re_path(r"^api/on-call/?$", oncall_api.OnCallNow.as_view(), name="api_on_call"),
    re_path(r"^on-call/calendar/(?P<secret>cal_[A-Za-z0-9_-]{43})\.ics$", oncall_views.calendar, name="calendar"),
    path("admin/on-call/preview/", _protected(confidence_views.preview), name="preview"),
    path("admin/on-call/reachability/", _protected(confidence_views.reachability), name="reachability"),
    path("admin/on-call/reachability/confirm/<int:pk>/", _protected(confidence_views.confirm), name="confirm_way"),
    path("admin/on-call/reachability/code/<int:pk>/", _protected(confidence_views.send_code), name="send_code"),
    re_path(
        r"^api/reliability/on-call/reachability/?$", confidence_api.Reachability.as_view(), name="api_reachability"
    ),
    path("admin/on-call/", _protected(oncall_views.on_call), name="on_call"),
    path("admin/on-call/load/", _protected(oncall_views.load), name="load"),
    path("admin/on-call/calendars/", _protected(oncall_views.calendars), name="calendars"),
    path(
        "admin/on-call/calendars/<int:pk>/revoke/", _protected(oncall_views.revoke_calendar), name="revoke_calendar"
    ),
    path(
        "admin/on-call/schedules/<int:pk>/import/", _protected(oncall_views.import_calendar), name="import_calendar"
    ),
    path("incidents/acknowledge/", _protected(views.acknowledge_incidents), name="acknowledge_incidents"),
]  # fmt: skip
