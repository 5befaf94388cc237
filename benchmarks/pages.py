"""What grows with the events of a project: pages, storing, disk. One table from 10⁴ to 10⁷ stored events.

    python -m benchmarks.pages [--sizes 1e4,1e5,1e6,1e7] [--requests 50] [--further 2e3] [--runs 3] [--quick]
                               [--markdown]

One project in a database of its own (embedded, default settings) is filled size by size; then real SDK envelopes go
through the inbox and one drain in this process, and each page is asked for through the whole WSGI application, as a
superuser, also in this process: server time without the network. A cell of a page holds p50 / p95 milliseconds, CPU
milliseconds (Python + PostgreSQL), which others on the machine hardly change, and the number of queries.
benchmarks/lab/facts.py says what the events are and which of them the storing service stored.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from apps.core import embedded
from benchmarks.lab import conditions, corpus, gauges, options
from benchmarks.lab.figures import Table, percentile, rounded, spread
from benchmarks.lab.portal import environment, scratch

WARM_UP = 3


@dataclass(frozen=True)
class Asked:
    """One page, asked for again and again: milliseconds of each run's requests, CPU of one request, its queries."""

    runs_ms: list[list[float]]
    python_ms: float
    postgres_ms: float
    queries: int

    def cell(self) -> str:
        """p50 / p95 (least–most p95 of the runs) · CPU · queries."""
        middle = rounded(statistics.median(percentile(run, 0.5) for run in self.runs_ms))
        last = spread([percentile(run, 0.95) for run in self.runs_ms])
        return f"{middle} / {last} · {self.python_ms:.0f}+{self.postgres_ms:.0f} · {self.queries}"


@dataclass(frozen=True)
class Size:
    """Everything at one size."""

    events: int
    groups: int
    rates: list[float]
    pages: dict[str, Asked]
    disk_mb: float
    foreign_cores: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    chosen = parse(argv)
    with scratch("pages") as root, standing(root / "data"):
        table = drawn(measure(root, chosen, options.progress(chosen)))
    requests = f"{chosen.requests} requests a page and run"
    table.notes.append(
        "Stored by the service, with what the real SDK sent: the first event of each group and the first 10,000; the "
        "others are made in the database with a payload of two frames. Events lie in the last 30 days."
    )
    table.notes.append(conditions.line(requests, f"{chosen.further:,} events a run through one drain"))
    options.show(chosen, [table])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    asked = options.parser(__doc__)
    asked.add_argument("--sizes", type=options.sizes, default=[10**4, 10**5, 10**6, 10**7])
    asked.add_argument("--requests", type=options.size, default=50)
    asked.add_argument(
        "--further", type=options.size, default=2_000, help="events that are stored at each size"
    )
    return options.parse(asked, argv, sizes=[1_000, 10_000], requests=10, further=500)


@contextlib.contextmanager
def standing(data: Path) -> Iterator[None]:
    """Embedded servers, a migrated database, and Django in this process."""
    data.mkdir()
    with mock.patch.dict(os.environ, environment(data, LOG_LEVEL="error"), clear=True):
        os.environ["DJANGO_SETTINGS_MODULE"] = "reliability_portal.settings"
        with embedded.running(data, title="a benchmark", own=True):
            import django
            from django.conf import settings
            from django.core.management import call_command
            from django.db import connections

            django.setup()
            settings.STATIC_ROOT.mkdir(exist_ok=True)
            call_command("migrate", verbosity=0)
            try:
                yield
            finally:
                connections.close_all()


def drawn(found: list[Size]) -> Table:
    """A column for each size."""
    table = Table(("stored events", *(f"{size.events:,}" for size in found)), "What grows with stored events")
    table.add("groups", *(size.groups for size in found))
    table.add("drain, events/s", *(spread(size.rates) for size in found))
    for name in found[-1].pages:
        table.add(name, *(size.pages[name].cell() if name in size.pages else None for size in found))
    table.add("errors on disk, MB", *(size.disk_mb for size in found))
    table.add("foreign cores", *(size.foreign_cores for size in found))
    table.notes.append("Pages: p50 / p95 ms (spread of p95) · CPU ms in Python + PostgreSQL · queries.")
    return table


def measure(root: Path, chosen: argparse.Namespace, say: Callable[[str], None]) -> list[Size]:
    """Fill, store and ask, size by size."""
    from django.utils import timezone

    from apps.projects.services import create_project
    from benchmarks.lab.facts import Facts

    facts = Facts(create_project(name="Benchmark"), corpus.captured(root), timezone.now())
    client = signed_in()
    found = []
    for size in sorted(chosen.sizes):
        begun = time.monotonic()
        first = not facts.events
        facts.fill(size)
        if first:
            facts.add_traffic()
        clean_up()
        say(f"{size:,} events in {facts.groups:,} groups after {time.monotonic() - begun:.0f} s")
        found.append(measured(facts, client, chosen, size))
        say(" · ".join(f"{name} {page.cell()}" for name, page in found[-1].pages.items()))
    return found


def measured(facts: Any, client: Any, chosen: argparse.Namespace, size: int) -> Size:
    """One size."""
    from benchmarks.lab.facts import bytes_on_disk

    disk_mb = bytes_on_disk() / 1e6
    gauges.wait_until_quiet(chosen.quiet_wait)
    with gauges.measured(lambda: {"PostgreSQL": gauges.tree(backend_pid())}) as gauge:
        rates = [drained(facts, chosen.further) for _ in range(chosen.runs)]
        pages = {name: asked(client, path, chosen) for name, path in addresses(facts).items()}
    return Size(size, facts.groups, rates, pages, disk_mb, gauge.foreign_cores)


def clean_up() -> None:
    """What autovacuum does within minutes."""
    from django.db import connection

    from apps.core.owner import as_owner

    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM (ANALYZE)")


# --- Storing ------------------------------------------------------------------------------------------------------
def drained(facts: Any, events: int) -> float:
    """Events a second of one drain, from a full inbox to an empty one."""
    from django.utils import timezone

    from apps.ingest import drain
    from apps.ingest.models import InboxEntry

    fill_inbox(facts, events)
    begun = time.perf_counter()
    while InboxEntry.objects.exists():
        drain.drain(now=timezone.now(), slot=0)
    return events / (time.perf_counter() - begun)


def fill_inbox(facts: Any, events: int) -> None:
    """Envelopes as the door keeps them, of groups that are there already."""
    from apps.ingest import inbox
    from apps.ingest.models import EntryKind

    models = [facts.model(facts.pick()) for _ in range(events)]
    for model in models:
        body = next(corpus.envelopes([model], 1, facts.rnd))
        inbox.accept(inbox.Entry(facts.project.pk, EntryKind.ENVELOPE, body, "gzip"))


# --- Pages --------------------------------------------------------------------------------------------------------
def signed_in() -> Any:
    """A superuser's browser inside this process."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    person = get_user_model().objects.create_superuser("alice", "alice@example.com")
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def addresses(facts: Any) -> dict[str, str]:
    """Pages by name: those that exist."""
    from apps.errors.models import ErrorEvent
    from benchmarks.lab.facts import busiest

    group = busiest()
    halfway = ErrorEvent.objects.filter(group=group).order_by("-pk")[min(1000, group.event_count // 2)].pk
    groups, one = "/admin/errors/errorgroup/", f"/admin/errors/errorgroup/{group.pk}/change/"
    found = {
        "list": groups,
        "filtered": f"{groups}?severity__exact={group.severity}&component__id__exact={group.component_id}",
        "searched": f"{groups}?q=place+77",
        "page 20": f"{groups}?p=20" if facts.groups > 1_000 else "",
        "group": one,
        "event": f"{one}?event={halfway}",
        "triage": "/admin/",
        "analytics": "/admin/analytics/",
        "analytics, 30 days": "/admin/analytics/?range=30d",
    }
    return {name: path for name, path in found.items() if path}


def asked(client: Any, path: str, chosen: argparse.Namespace) -> Asked:
    """Milliseconds of each request, after a few that are not counted. Raises RuntimeError if it is no page."""
    from django.db import connection

    count = 0

    def counting(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        return execute(sql, params, many, context)

    answers = [client.get(path).status_code for _ in range(WARM_UP)]
    if set(answers) != {200}:
        raise RuntimeError(f"{path} answers {answers}")
    with connection.execute_wrapper(counting):
        client.get(path)
    python, postgres = time.process_time(), gauges.cpu_s([backend_pid()])
    runs_ms = [[timed(client, path) for _ in range(chosen.requests)] for _ in range(chosen.runs)]
    requests = chosen.requests * chosen.runs
    python_ms = (time.process_time() - python) * 1000 / requests
    postgres_ms = (gauges.cpu_s([backend_pid()]) - postgres) * 1000 / requests
    return Asked(runs_ms, python_ms, postgres_ms, count)


def backend_pid() -> int:
    """The process of PostgreSQL that answers this one."""
    from django.db import connection

    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def timed(client: Any, path: str) -> float:
    """Milliseconds of one request."""
    begun = time.perf_counter()
    client.get(path)
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main(sys.argv[1:])
