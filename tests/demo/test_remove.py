"""Taking the demo story out again leaves what is real, and the audit log."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from apps.alerts.models import Alert, AlertRule, EscalationPolicy, Page
from apps.alerts.models.oncall import Schedule
from apps.audit.models import AuditEvent
from apps.errors import storing
from apps.errors.models import ErrorEvent, ErrorGroup, ErrorMinute
from apps.incidents import services as incidents
from apps.incidents.models import Incident
from apps.projects.models import Project
from apps.projects.services import create_project
from apps.telemetry.models import RequestDay, SeenReport, SessionState
from apps.telemetry.storing import store_batch
from reliability_portal.demo import load, remove, story
from tests.telemetry.make import make_request


def make_real_project(now):
    """Somebody's own project with one error and one incident, as the services write them."""
    project = create_project(name="Shop")
    moment = story.Moment(now - timedelta(minutes=3), story.NOW_FAILING)
    storing.store_batch(events=[story.event_of(moment, 0, project.pk, now, seed=99)])
    store_batch(requests=[make_request(project.pk, at=now)])
    incidents.open_incident(
        title="The shop is slow", project=project, severity="error", summary="", began_at=now, page_nobody=True,
        actor=get_user_model().objects.get(username="alice"), now=now,
    )  # fmt: skip
    return project


@pytest.mark.django_db(transaction=True)
def test_removing_the_story_leaves_real_rows_and_every_audit_event(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    call_command("demo", "--errors", str(story.FEWEST), verbosity=0)
    real = make_real_project(timezone.now())
    for model in apps.get_app_config("telemetry").get_models():
        assert model in (SeenReport, SessionState) or model.objects.exclude(project=real).exists(), model
    logged = set(AuditEvent.objects.values_list("pk", flat=True))

    call_command("demo", "--remove", verbosity=0)

    assert list(Project.objects.values_list("name", flat=True)) == ["Shop"]
    for model in (ErrorEvent, ErrorGroup, ErrorMinute, Incident):
        assert set(model.objects.values_list("project", flat=True)) == {real.pk}, model
    assert ErrorEvent.objects.count() == ErrorGroup.objects.get().event_count == 1
    for model in apps.get_app_config("telemetry").get_models():
        if model not in (SeenReport, SessionState):  # ids alone, of nobody's
            assert set(model.objects.values_list("project", flat=True)) <= {real.pk}, model
    assert RequestDay.objects.get().n == 1
    assert Incident.objects.get().timeline.exists()
    assert [m.objects.count() for m in (Alert, Page, EscalationPolicy, Schedule)] == [0, 0, 0, 0]
    assert not AlertRule.objects.filter(code="").exists()
    assert logged < set(AuditEvent.objects.values_list("pk", flat=True))
    assert AuditEvent.objects.filter(action="demo.remove").count() == 1
    assert list(tmp_path.iterdir()) == []

    # Who has done something real may stay, but cannot sign in with the story's password.
    assert not get_user_model().objects.filter(is_active=True, email__endswith="@example.org").exists()
    assert remove.remove(say=lambda words: None) == 0
    assert not load.is_empty()
