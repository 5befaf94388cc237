"""The table of ticks: what the portal does by itself, how often, and in which room. This table is the architecture.

POST → ingest: authenticate, limit, unpack, inbox (durable) → 2xx
people (admin, API) → services, each ending in audit
"""

import os
import threading

import django
from celery import Celery, signals
from django.apps import apps
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")
if not apps.ready:  # a worker and beat come in through this module
    django.setup()

from django.utils import timezone

from apps.core import pulse, ticks
from apps.core.ticks import OWN, Tick, table

FAST, SLOW = "fast", "slow"
CLOCK = "portal-beat"  # the thread of beat, where it has no process of its own
TICKS = (
    # inbox → decode, scrub → error groups and events
    # (a process for each slot; its lease is renewed every second, so a killed one's slot is soon free again)
    Tick("ingest.drain", 1, "apps.ingest.tasks.drain", OWN, slots=settings.INGEST_DRAIN_SLOTS, lease_s=5),
    # rules ask their questions → Alert → Incident → Escalation (due now)
    Tick("alerts.watch", 10, "apps.alerts.tasks.watch", FAST),
    # due escalations → Page rows
    # (a short lease: a killed worker must not hold up paging for a minute; safety lies in the rows)
    Tick("alerts.escalate", 5, "apps.alerts.tasks.escalate", FAST, lease_s=15),
    # claim Page → channel → Attempt, TimelineEntry
    # (it claims for 12 s, and a send takes at most 10)
    Tick("alerts.deliver", 2, "apps.alerts.tasks.deliver", FAST, lease_s=25),
    # weekly drills → Alert marked as a drill → Escalation; drills that are over
    Tick("alerts.drill", 30, "apps.alerts.tasks.drill", SLOW),
    # what users said before their event came
    Tick("errors.link", 10, "apps.errors.tasks.link", SLOW),
    # events that their project no longer keeps, counters past their time
    Tick("errors.retain", 600, "apps.errors.tasks.retain", SLOW, lease_s=300),
    # counters of requests, tracked events, sessions and users past their time
    Tick("telemetry.retain", 3600, "apps.telemetry.tasks.retain", SLOW, lease_s=300),
    # runs of reporting jobs past their time
    Tick("health.retain", 3600, "apps.health.tasks.retain", SLOW, lease_s=300),
    # what other tools said of failures, links of pages: past their time
    Tick("alerts.retain", 3600, "apps.alerts.tasks.retain", SLOW),
    # writers of the inbox that are no more
    Tick("ingest.retain", 3600, "apps.ingest.tasks.retain", SLOW),
    # partitions ahead of now, retention
    Tick("core.partitions", 3600, "apps.core.tasks.partitions", SLOW),
)
table.fill(TICKS)

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = SLOW
app.conf.beat_schedule = {
    f"{tick.name}#{slot}": {
        "task": "portal.tick",
        "schedule": tick.every_s,
        "args": (tick.name, slot),
        # A stopped worker must not wake to a thousand old ticks.
        "options": {"queue": tick.queue, "expires": max(3 * tick.every_s, 10)},
    }
    for tick in TICKS
    for slot in range(tick.slots)
    if tick.queue != OWN
}


@signals.before_task_publish.connect
def beat_is_alive(**_: object) -> None:
    """Beat publishes every second; its pulse is that."""
    if settings.PORTAL_PROCESS == "beat" or threading.current_thread().name == CLOCK:
        pulse.beat("beat", timezone.now())


@signals.task_prerun.connect
def worker_is_alive(**_: object) -> None:
    """A worker that takes up ticks is alive."""
    pulse.beat("worker", timezone.now())


@app.task(name="portal.tick", ignore_result=True)
def tick(name: str, slot: int) -> None:
    """Wake one tick; whatever it does is in its room."""
    ticks.run(name, slot)


def _ring(one: Tick) -> None:
    """How a tick wakes another: a message like beat's, not tried again when the broker is away."""
    tick.apply_async((one.name, 0), queue=one.queue, expires=10, retry=False)


table.waker = _ring
