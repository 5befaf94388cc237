"""The pager under load: many escalations due at once, and one alert's first page in the storm of another.

    python -m benchmarks.paging [--due 1e4] [--storm 1e3] [--runs 3] [--quick] [--markdown]

Embedded PostgreSQL with default settings; ticks are called in this process, one after the other, as `manage.py tick`
does. *Due at once*: that many alerts of 50 components, each component with an incident, one step with one channel; a
run is one call of the tick. *Storm*: that many alerts of one component are triggered evenly over a minute, an alert of
another component in the middle of them; the ticks run by their periods alone (escalate 5 s, deliver 2 s; a worker is
woken sooner). The delay is from the trigger of that alert until its page is with a receiver that answers at once.
"""

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.lab import conditions, gauges, options
from benchmarks.lab.figures import Table, spread
from benchmarks.lab.portal import scratch
from benchmarks.pages import standing

STORM_S = 60.0
COMPONENTS = 50


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    say = options.progress(chosen)
    with scratch("paging") as root, standing(root / "data"):
        prepare()
        table = Table(("", "measured", "limit"), "Escalations")
        gauges.wait_until_quiet(chosen.quiet_wait)
        with gauges.measured(dict) as gauge:
            ticks = [due_at_once(chosen.due, say) for _ in range(chosen.runs)]
            delays = [storm(chosen.storm, chosen.storm_s, say) for _ in range(chosen.runs)]
        table.add(f"{chosen.due:,} due at once: seconds of one tick", spread(ticks), "2")
        table.add(f"storm of {chosen.storm:,}: seconds to the other's page", spread(delays), "10")
        table.add("foreign cores", gauge.foreign_cores, None)
        table.notes.append(conditions.line(f"storm over {chosen.storm_s:.0f} s"))
    options.show(chosen, [table])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    asked = options.parser(__doc__)
    asked.add_argument("--due", type=options.size, default=10**4)
    asked.add_argument("--storm", type=options.size, default=10**3)
    asked.add_argument("--storm-s", type=float, default=STORM_S)
    return options.parse(asked, argv, due=1_000, storm=100, storm_s=6.0)


def prepare() -> None:
    """The table of ticks, and leave to send to the receiver on this machine."""
    from django.conf import settings

    import reliability_portal.celery  # noqa: F401 - fills the table

    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]


# --- Due at once --------------------------------------------------------------------------------------------------
def due_at_once(count: int, say: Callable[[str], None]) -> float:
    """Seconds of one tick over that many due runs. RuntimeError unless each made its page."""
    from django.utils import timezone

    from apps.alerts import paging
    from apps.alerts.models import Escalation, Page

    before = Page.objects.count()
    with_incidents(count)
    now = timezone.now()
    begun = time.perf_counter()
    report = paging.escalate_due(now=now, limit=count)
    took = time.perf_counter() - begun
    if Page.objects.count() - before != count or Escalation.objects.due(now).exists():
        raise RuntimeError(f"{Page.objects.count():,} pages of {count:,}: {report}")
    say(f"{count:,} due: {took:.2f} s")
    return took


def with_incidents(count: int) -> None:
    """Alerts whose first step is due, spread over components, each with its run and the incident of its component."""
    from django.utils import timezone

    from apps.alerts import planning
    from apps.alerts.models import Alert, Escalation
    from apps.incidents import services as incidents

    now, policy = timezone.now(), a_policy("http://127.0.0.1:9/")
    places = [component(f"Place {n}") for n in range(COMPONENTS)]
    made = [
        incidents.open_incident(
            title=f"{place} fails", project=place.project, severity="critical", components=[place], began_at=now,
            detected_at=now, now=now,
        )
        for place in places
    ]  # fmt: skip
    alerts = [
        Alert(
            dedup_key=f"bench {now.timestamp()} {n}", policy=policy, project=places[n % COMPONENTS].project,
            component=places[n % COMPONENTS], incident=made[n % COMPONENTS], title=f"Payments fail {n}",
            sentence="12 errors within 5 min (rule: > 10).", severity="critical", first_seen_at=now,
            triggered_at=now, last_seen_at=now,
        )
        for n in range(count)
    ]  # fmt: skip
    plan = planning.plan_for(policy, now).to_json()
    Escalation.objects.bulk_create(
        [
            Escalation(alert=alert, epoch=1, policy_name=policy.name, plan=plan, next_at=now, started_at=now)
            for alert in Alert.objects.bulk_create(alerts, batch_size=2_000)
        ],
        batch_size=2_000,
    )


# --- A storm beside another ---------------------------------------------------------------------------------------
def storm(count: int, seconds: float, say: Callable[[str], None]) -> float:
    """Seconds from the trigger of the other alert until the receiver has its page, while the storm goes on."""
    from django.utils import timezone

    from apps.alerts.models import Page, PageState
    from apps.alerts.services import Fired, trigger

    Page.objects.exclude(state=PageState.SENT).update(state=PageState.CANCELLED)
    noisy, other = component("Noisy"), component("Other")
    with receiver() as (address, seen):
        policy = a_policy(address)
        work = Ticks()
        begun = time.monotonic()
        triggered_at = 0.0
        for n in range(count):
            work.until(begun + n * seconds / count)
            place = other if n == count // 2 else noisy
            if place is other:
                triggered_at = time.monotonic()
            trigger(
                fired=Fired(
                    f"{begun} {n}", f"{place.name} fails", "critical", place.project, place, policy=policy
                ),
                now=timezone.now(),
            )
        while "Other" not in seen and time.monotonic() < begun + seconds + 120:
            work.until(time.monotonic() + 0.5)
    if "Other" not in seen:
        raise RuntimeError("the page of the other alert did not arrive within two minutes of the storm's end")
    say(f"storm of {count:,}: {seen['Other'] - triggered_at:.2f} s")
    return seen["Other"] - triggered_at


class Ticks:
    """The two ticks, when due."""

    EVERY_S = {"alerts.escalate": 5.0, "alerts.deliver": 2.0}

    def __init__(self) -> None:
        self.next = dict.fromkeys(self.EVERY_S, 0.0)

    def until(self, moment: float) -> None:
        """Run what is due until then."""
        from apps.core import ticks

        while True:
            now = time.monotonic()
            name = min(self.next, key=self.next.__getitem__)
            if self.next[name] > moment and now >= moment:
                return
            if self.next[name] <= now:
                ran = ticks.run(name)
                if not ran.ok:
                    raise RuntimeError(f"{name}: {ran.error}")
                self.next[name] = now + self.EVERY_S[name]
            else:
                time.sleep(max(0.0, min(self.next[name], moment) - now))


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, dict[str, float]]]:
    """A web hook that notes when it first hears of each component."""
    seen: dict[str, float] = {}

    class Answer(BaseHTTPRequestHandler):
        """204, at once."""

        def do_POST(self) -> None:
            """Note the component by its name in the body."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.setdefault("Other" if b"Other" in body else "Noisy", time.monotonic())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", seen
    finally:
        server.shutdown()
        server.server_close()


# --- What there is ------------------------------------------------------------------------------------------------
def component(name: str) -> Any:
    """One of the benchmark's project."""
    from apps.projects.models import Component, Project

    project = Project.objects.get_or_create(name="Benchmark", slug="benchmark")[0]
    return Component.objects.get_or_create(
        project=project, name=name, defaults={"slug": name.lower().replace(" ", "-")}
    )[0]


def a_policy(address: str) -> Any:
    """One step with one channel."""
    from django.contrib.auth import get_user_model

    from apps.alerts.models import Channel, EscalationPolicy, EscalationStep

    person = get_user_model().objects.get_or_create(
        username="alice", defaults={"email": "alice@example.com"}
    )[0]
    name = f"Benchmark {time.monotonic()}"
    channel = Channel.objects.create(name=name, kind="webhook", address=address)
    policy = EscalationPolicy.objects.create(name=name, fallback_user=person, repeat_count=0)
    EscalationStep.objects.create(policy=policy, kind="channel", channel=channel)
    return policy


if __name__ == "__main__":
    main()
