"""Addresses of the links in pages: without sign-in."""

from django.urls import re_path

from apps.alerts.answering import views

_token = r"(?P<token>[A-Za-z0-9_-]{24})"  # noqa: S105 - a pattern, no secret
urlpatterns = [
    re_path(rf"^answer/{_token}/?$", views.show, name="answer"),
    re_path(rf"^answer/{_token}/(?P<verb>[a-z]{{1,16}})/?$", views.act, name="answer_act"),
]
