"""Processes of the pager's fault test: a crew of workers to be killed, and a feeder that fires and acknowledges.

`python -m tests.loop.pager_crew work 4` keeps four workers up, each forked from one loaded framework, so that
the next one works within milliseconds of a kill. They run the room's ticks without the tick's lease: any number
of them at once, which is harder than what the portal does by itself. `… feed` prints what it did as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from datetime import timedelta


def main(verb, *arguments):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")
    import django

    django.setup()
    {"work": work, "feed": feed}[verb](*arguments)


# --- Workers ------------------------------------------------------------------------------------------------
def work(number):
    """Keep this many workers up until SIGTERM, which ends them too."""
    from apps.alerts import tasks  # noqa: F401 - loaded once for all
    from reliability_portal.fork import Fork, share_memory

    share_memory()
    crew = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            for place in range(int(number)):
                if place not in crew or crew[place].poll() is not None:
                    crew[place] = Fork(page_on, f"pager-{place}")
            time.sleep(0.005)
    finally:
        for one in crew.values():
            one.send_signal(signal.SIGKILL)


def page_on():
    """Escalate and deliver without end."""
    from apps.alerts import tasks
    from apps.core.ticks import database_now

    while True:
        tasks.escalate(now=database_now(), slot=0)
        tasks.deliver(now=database_now(), slot=0)
        time.sleep(0.02)


# --- Feeder -------------------------------------------------------------------------------------------------
def feed(lasts_s, rate_per_s, url):
    """Fire at a steady rate, acknowledge 40 % of what fired at a random moment of its first three seconds."""
    from django.db import OperationalError

    from apps.alerts import services
    from apps.alerts.services import Act, Fired
    from apps.core.ticks import database_now

    dice, ends, due = random.Random(7), time.monotonic() + float(lasts_s), []
    policy, components = _policy(url), _components()
    fired = acknowledged = 0
    while (begun := time.monotonic()) < ends or due:
        if begun < ends:
            component = dice.choice(components)
            fact = Fired(
                key=f"load:{fired}", title=f"Failure {fired}", severity="critical", policy=policy,
                project=component.project, component=component,
            )  # fmt: skip
            alert = services.trigger(fired=fact, now=database_now())
            fired += 1
            if dice.random() < 0.4:
                due.append((begun + dice.uniform(0, 3), alert))
        for entry in [one for one in due if one[0] <= time.monotonic()]:
            due.remove(entry)
            try:
                act = Act("Alice", database_now() + timedelta())
                acknowledged += services.acknowledge(alert=entry[1], act=act)
            except OperationalError:
                due.append(entry)
        time.sleep(max(0, 1 / float(rate_per_s) - (time.monotonic() - begun)))
    print(json.dumps({"fired": fired, "acknowledged": acknowledged}), flush=True)


def _policy(url):
    """Two steps two seconds apart, two rounds: four pages for each alert that nobody acknowledges."""
    from django.contrib.auth.models import User

    from apps.alerts.models import Channel, EscalationPolicy, EscalationStep

    fallback = User.objects.create(username="carol", email="carol@example.org")
    policy = EscalationPolicy.objects.create(
        name="Load", fallback_user=fallback, repeat_count=1, repeat_wait_s=2
    )
    for order, place in enumerate(("first", "second")):
        channel = Channel.objects.create(name=place, kind="webhook", address=f"{url}/{place}")
        EscalationStep.objects.create(
            policy=policy, order=order, kind="channel", channel=channel, wait_before_s=2 * order
        )
    return policy


def _components():
    from apps.projects.models import Component, Project

    project = Project.objects.create(name="Load", slug="load")
    return [Component.objects.create(project=project, name=f"Part {n}", slug=f"part-{n}") for n in range(20)]


if __name__ == "__main__":
    main(*sys.argv[1:])
