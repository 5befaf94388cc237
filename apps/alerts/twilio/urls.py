"""Where Twilio calls."""

from django.urls import re_path

from apps.alerts.twilio import views

urlpatterns = [
    re_path(r"^api/integrations/twilio/status/?$", views.status, name="twilio_status"),
    re_path(r"^api/integrations/twilio/reply/?$", views.reply, name="twilio_reply"),
]
