"""Taking the demo story out again; its audit events stay, as everybody's do."""

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import ProtectedError

from apps.alerts.models import Alert, AlertRule, EscalationPolicy, Page
from apps.alerts.models.oncall import Schedule
from apps.audit import services as audit
from apps.core.owner import as_owner
from apps.errors.models import ErrorGroup
from apps.incidents.models import ActionItem, Incident, PostMortem
from apps.projects.models import Project, Team
from reliability_portal.demo import cast

# In the order in which they point at each other; partitioned and counting tables go by project.
_BY_PROJECT = (
    "errors_errorevent", "errors_errorminute", "errors_endpointminute",
    "telemetry_trackedevent", "telemetry_trackedhour", "telemetry_trackedminute", "telemetry_trackeduserday",
    "telemetry_activeuserday", "telemetry_requestminute", "telemetry_requesthour", "telemetry_requestday",
    "telemetry_sessionhour", "telemetry_sessionuserday",
)  # fmt: skip


def remove(*, say: Callable[[str], None]) -> int:
    """Everything of the story. Timelines are append-only for the application, so this runs as owner."""
    with as_owner(), transaction.atomic():
        gone = _incidents() + _projects()
        _setting()
        audit.record("demo.remove", category="config", details={"rows": gone})
    for name in ("welcome.txt", "demo-password"):
        (Path(settings.DATA_DIR) / name).unlink(missing_ok=True)
    say(f"{gone:,} rows removed; audit events are kept")
    return gone


def _incidents() -> int:
    """Incidents with all that hangs on them."""
    stories = Incident.objects.filter(backfilled=True)
    Page.objects.filter(alert__backfilled=True).delete()
    Alert.objects.filter(backfilled=True).delete()
    ActionItem.objects.filter(postmortem__incident__in=stories).delete()
    PostMortem.objects.filter(incident__in=stories).delete()
    return stories.delete()[0]


def _projects() -> int:
    gone = 0
    for project in Project.objects.filter(backfilled=True):
        with connection.cursor() as cursor:
            for table in _BY_PROJECT:
                cursor.execute(f"DELETE FROM {table} WHERE project_id = %s", [project.pk])  # noqa: S608
                gone += cursor.rowcount
        groups = ErrorGroup.objects.filter(project=project)
        gone += groups.delete()[0]
        if not Incident.objects.filter(project=project).exists():
            project.alerts.all().delete()
            gone += project.delete()[0]
    return gone


def _setting() -> None:
    """Policy, schedule, team and people; whoever has done something real meanwhile stays, switched off."""
    stories = EscalationPolicy.objects.filter(backfilled=True)
    AlertRule.objects.filter(policy__in=stories).update(policy=None)
    stories.delete()
    Schedule.objects.filter(backfilled=True).delete()
    Team.objects.filter(name=cast.TEAM, projects=None).delete()
    for user in get_user_model().objects.filter(
        username__in=(cast.ADMIN, *cast.PEOPLE), email__endswith="@example.org"
    ):
        try:
            with transaction.atomic():
                user.delete()
        except ProtectedError:
            user.is_active = False
            user.save(update_fields=["is_active"])
