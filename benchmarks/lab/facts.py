"""A project full of failures: groups, events over 30 days, and every counter that pages read, consistent with them.

The first event of every group, and everything up to `BY_SERVICE` events, goes through the real storing service with
what the real SDK sent. More than that would take hours, so it is made in the database, day by day, with a payload of
two frames; the counters are computed from the very rows. One in 20 events falls to the most frequent group.
"""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from apps.core import partitions
from apps.errors.models import ErrorEvent, ErrorGroup
from apps.errors.new_event import NewEvent
from apps.errors.normalise import from_sentry
from apps.errors.storing import store_batch
from apps.ingest.decoding import hash_key
from apps.projects.intake import Intake
from apps.projects.models import Project
from benchmarks.lab import corpus
from benchmarks.lab import facts_sql as sql

BY_SERVICE = 10_000
DAYS = 30
SKEW = 3
COMPONENTS = (
    "Checkout",
    "Orders",
    "Invoices",
    "Catalog",
    "Search",
    "Account",
    "Webhooks",
    "Reports",
    "Mail",
    "Exports",
)
LEVELS = ("error", "warning", "fatal", "error", "error")
_BATCH = 500


def groups_for(events: int) -> int:
    """Ten events a group while they are few; 10,000 groups at most."""
    return max(1, min(10_000, events // 10))


@dataclass
class Facts:
    """What fills one project, from few to many: `fill` only ever adds."""

    project: Project
    models: list[dict[str, Any]]
    now: datetime
    rnd: random.Random = field(default_factory=lambda: random.Random(1))
    events: int = 0
    groups: int = 0

    def fill(self, events: int) -> None:
        """Up to so many events in as many groups as `groups_for` says."""
        partitions.ensure(ErrorEvent._meta.db_table, self.now - timedelta(days=DAYS + 1), self.now)
        known, self.groups = self.groups, groups_for(events)
        self._store(range(known, self.groups))
        if self.events < BY_SERVICE:
            self._store(self.pick() for _ in range(min(events, BY_SERVICE) - self.events))
        if self.events < events:
            self._make(events - self.events)

    def pick(self) -> int:
        """A group's number, low ones far more often."""
        return int(self.rnd.random() ** SKEW * self.groups)

    def model(self, number: int) -> dict[str, Any]:
        """What the SDK sends for the failure at that place, so that it falls into the group of that number."""
        model = copy.deepcopy(self.models[number % len(self.models)])
        raised = model["event"]["exception"]["values"][-1]
        raised["value"] += f" at place {number}"
        raised["stacktrace"]["frames"][-1]["function"] = f"place_{number}"
        model["event"]["level"] = LEVELS[number % len(LEVELS)]
        model["event"]["tags"]["component"] = COMPONENTS[number % len(COMPONENTS)]
        return model

    # --- Through the service --------------------------------------------------------------------------------------
    def _store(self, numbers: Any) -> None:
        waiting: list[NewEvent] = []
        for number in numbers:
            waiting.append(self._new_event(number))
            if len(waiting) == _BATCH:
                self.events += store_batch(events=waiting).stored
                waiting = []
        self.events += store_batch(events=waiting).stored

    def _new_event(self, number: int) -> NewEvent:
        at = self.now - timedelta(days=DAYS) * self.rnd.random()
        intake = Intake(project_id=self.project.pk, received_at=at, hash_key=hash_key(), event_id=uuid4().hex)
        event = from_sentry(corpus.fresh_event(self.model(number), self.rnd), intake)
        event.occurred_at, event.time_is_usable = at, True
        return event

    # --- In the database ------------------------------------------------------------------------------------------
    def _make(self, events: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SELECT setseed(%s)", [self.rnd.random()])
            cursor.execute("DROP TABLE IF EXISTS bench_group, bench_met")
            cursor.execute(sql.GROUPS, [self.project.pk])
            cursor.execute(sql.MET)
        for start, count in self._days(events):
            self._make_some(start, count)
            self.events += count
        with connection.cursor() as cursor:
            cursor.execute(sql.COUNTS)
            cursor.execute("RESET statement_timeout")

    def _days(self, events: int) -> Iterator[tuple[datetime, int]]:
        """Each of the last days with its share, the oldest first."""
        for day in range(DAYS):
            share = events * (day + 1) // DAYS - events * day // DAYS
            yield self.now - timedelta(days=DAYS - day), share

    @transaction.atomic
    def _make_some(self, start: datetime, count: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.FACTS, {"start": start, "count": count, "groups": self.groups, "skew": SKEW})
            for statement in sql.BY_DAY:
                cursor.execute(statement, {"project": self.project.pk})
            cursor.execute("DROP TABLE bench_fact")

    def add_traffic(self) -> None:
        """Requests and tracked events of the same days, once: what pages set errors against."""
        span = {"project": self.project.pk, "start": self.now - timedelta(days=DAYS), "end": self.now}
        with connection.cursor() as cursor:
            for statement in sql.TRAFFIC:
                cursor.execute(statement, span)


def busiest() -> ErrorGroup:
    """The group with the most events."""
    return ErrorGroup.objects.order_by("-event_count")[0]


def bytes_on_disk() -> int:
    """Tables and indexes of the errors room, all partitions included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relname LIKE 'errors\\_%'"
        )
        return int(cursor.fetchone()[0])
