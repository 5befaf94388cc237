"""One portal for all SDKs: real processes, real sockets, each SDK as an application would use it."""

import pytest

from tests.loop.portal import Portal, eventually, running_portal

STORED = """
import json
from django.db.models import Sum
from apps.errors.models import Attachment, ErrorEvent, ErrorGroup, UserReport
from apps.health.models import CheckIn
from apps.ingest.models import InboxEntry, ItemCount, SetAside
from apps.projects.models import Project
from apps.telemetry.models import RequestMinute, SessionHour
p = Project.objects.get(name={name!r})
print(json.dumps(dict(
    inbox=InboxEntry.objects.count(),
    aside=[[s.kind, s.field, s.reason] for s in SetAside.objects.filter(project_id=p.pk)],
    counts={{f"{{c.item_type}} {{c.outcome}}": c.n for c in ItemCount.objects.filter(project_id=p.pk)}},
    events=[dict(title=e.group.title, type=e.error_type, message=e.message, component=e.component.name,
                 release=e.release, environment=e.environment, endpoint=e.endpoint, user=e.user_hash, tags=e.tags,
                 severity=e.severity, device=e.device_type, payload=e.payload, event_id=e.event_id)
            for e in ErrorEvent.objects.filter(project=p).select_related("group", "component").order_by("pk")],
    files=[[a.event_id, a.name, a.text] for a in Attachment.objects.filter(project=p)],
    said=[[r.message, r.group and r.group.title, r.user_hash, r.url] for r in UserReport.objects.filter(project=p)],
    runs=[[c.heartbeat.slug, c.heartbeat.environment, c.status, c.duration_s is not None, c.heartbeat.schedule]
          for c in CheckIn.objects.filter(heartbeat__project=p).order_by("heartbeat__slug")],
    requests=[[r["endpoint"], r["n"], r["failed"]] for r in RequestMinute.objects.filter(project=p)
              .values("endpoint").annotate(n=Sum("n"), failed=Sum("failed")).order_by("endpoint")],
    sessions=SessionHour.objects.filter(project=p).aggregate(healthy=Sum("healthy"), errored=Sum("errored"),
                                                             crashed=Sum("crashed")),
)))
"""


@pytest.fixture(scope="session")
def portal():
    """Without projects: each test makes its own."""
    with running_portal() as it:
        yield it


def stored(portal: Portal, name: str, enough) -> dict:
    """What a project came to, once `enough` says so and nothing waits any more."""
    found: dict = {}

    def settled() -> bool:
        found.clear()
        found.update(portal.ask(STORED.format(name=name)))
        return found["inbox"] == 0 and enough(found)

    try:
        eventually(settled, f"what {name} sent", 60)
    except AssertionError as late:
        shown = {key: value for key, value in found.items() if key != "events"}
        raise AssertionError(f"{late}; there is {shown}, {[e['title'] for e in found['events']]}") from late
    return found
