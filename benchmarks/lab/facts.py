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
TABLES = ("errorgroup", "errorevent", "errorminute", "endpointminute", "grouphour", "groupuser", "grouptag")
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
        self._remember_groups()
        with connection.cursor() as cursor:
            cursor.execute("SELECT setseed(%s)", [self.rnd.random()])
        for start, count in self._days(events):
            self._make_some(start, count)
            self.events += count

    def _days(self, events: int) -> Iterator[tuple[datetime, int]]:
        """Each of the last days with its share, the oldest first."""
        for day in range(DAYS):
            share = events * (day + 1) // DAYS - events * day // DAYS
            yield self.now - timedelta(days=DAYS - day), share

    def _remember_groups(self) -> None:
        """Groups by number, with what their events have in common."""
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_group")
            cursor.execute(_GROUPS, [self.project.pk])

    @transaction.atomic
    def _make_some(self, start: datetime, count: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_FACTS, {"start": start, "count": count, "groups": self.groups, "skew": SKEW})
            for statement in (_EVENTS, _MINUTES, _ENDPOINTS, _HOURS, _TAGS, _COUNTS):
                cursor.execute(statement, {"project": self.project.pk})
            cursor.execute("DROP TABLE bench_fact")


def busiest() -> ErrorGroup:
    """The group with the most events."""
    return ErrorGroup.objects.order_by("-event_count")[0]


def bytes_on_disk() -> int:
    """Tables and indexes of the errors room."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' "
            "AND relname ~ %s",
            [f"^errors_({'|'.join(TABLES)})(_[0-9]+|_default)?$"],
        )
        return int(cursor.fetchone()[0])


_GROUPS = """
CREATE TEMP TABLE bench_group AS
SELECT row_number() OVER (ORDER BY g.id) - 1 AS number, g.id, g.component_id, g.severity, g.error_type, g.title,
  e.endpoint FROM errors_errorgroup g JOIN errors_errorevent e ON e.id = g.last_event_id WHERE g.project_id = %s
"""
_FACTS = """
CREATE TEMP TABLE bench_fact AS
SELECT (lpad(to_hex((extract(epoch FROM d.at) * 1000)::bigint), 12, '0') || left(d.hash, 20))::uuid AS id_,
  d.hash AS event_id, d.at, d.usr, d.tenant, g.*
FROM (
  SELECT date_trunc('milliseconds', %(start)s::timestamptz + random() * interval '1 day') AS at,
    floor(power(random(), %(skew)s) * %(groups)s)::int AS pick, md5(random()::text || n) AS hash,
    md5((random() * 5000)::int::text) AS usr, 'tenant-' || lpad((random() * 19)::int::text, 2, '0') AS tenant
  FROM generate_series(1, %(count)s) n
) d JOIN bench_group g ON g.number = d.pick
"""
_EVENTS = """
INSERT INTO errors_errorevent (id, event_id, occurred_at, received_at, project_id, component_id, group_id, severity,
  error_type, message, user_hash, user_impact, release, environment, endpoint, device_type, source, tags, payload,
  backfilled)
SELECT id_, event_id, at, at, %(project)s, component_id, id, severity, error_type, title, usr || usr, true,
  'shop@4.12.3', 'production', endpoint, 'unknown', 'sentry',
  jsonb_build_object('tenant', tenant, 'region', 'eu-west', 'plan', 'team'),
  jsonb_build_object('exceptions', jsonb_build_array(jsonb_build_object('type', error_type, 'value', title,
    'stacktrace', jsonb_build_object('frames', jsonb_build_array(
      jsonb_build_object('function', 'total', 'filename', 'shop/pricing.py', 'lineno', 34, 'in_app', true,
        'context_line', '    return failure(cart, amounts)'),
      jsonb_build_object('function', 'place_' || number, 'filename', 'shop/orders.py', 'lineno', number %% 900,
        'in_app', true, 'context_line', '    raise Failure(order)')))))), false
FROM bench_fact ORDER BY id_
"""
_MINUTES = """
INSERT INTO errors_errorminute (minute, component_id, project_id, severity, n, impacting)
SELECT date_trunc('minute', at), component_id, %(project)s, severity, count(*), count(*)
FROM bench_fact GROUP BY 1, 2, 4
ON CONFLICT (minute, component_id, severity) DO UPDATE SET n = errors_errorminute.n + excluded.n,
  impacting = errors_errorminute.impacting + excluded.impacting
"""
_ENDPOINTS = """
INSERT INTO errors_endpointminute (minute, project_id, endpoint, n)
SELECT date_trunc('minute', at), %(project)s, endpoint, count(*) FROM bench_fact GROUP BY 1, 3
ON CONFLICT (minute, project_id, endpoint) DO UPDATE SET n = errors_endpointminute.n + excluded.n
"""
_HOURS = """
INSERT INTO errors_grouphour (group_id, hour, n)
SELECT id, date_trunc('hour', at), count(*) FROM bench_fact GROUP BY 1, 2
ON CONFLICT (group_id, hour) DO UPDATE SET n = errors_grouphour.n + excluded.n
"""
_TAGS = """
INSERT INTO errors_grouptag (group_id, key, value, n)
SELECT f.id, t.key, t.value, count(*) FROM bench_fact f
CROSS JOIN LATERAL (VALUES ('tenant', f.tenant), ('region', 'eu-west'), ('plan', 'team')) t(key, value) GROUP BY 1, 2, 3
ON CONFLICT (group_id, key, value) DO UPDATE SET n = errors_grouptag.n + excluded.n
"""
_COUNTS = """
WITH users AS (
  INSERT INTO errors_groupuser (group_id, user_hash, last_seen)
  SELECT id, usr || usr, max(at) FROM bench_fact GROUP BY 1, 2
  ON CONFLICT (group_id, user_hash) DO UPDATE SET last_seen = greatest(errors_groupuser.last_seen, excluded.last_seen)
  RETURNING group_id, xmax = 0 AS is_new
), met AS (
  SELECT group_id, count(*) FILTER (WHERE is_new) AS users FROM users GROUP BY 1
), counted AS (
  SELECT id, count(*) AS n, min(at) AS first_seen, max(at) AS last_seen,
    (array_agg(id_ ORDER BY at DESC))[1] AS last_event_id FROM bench_fact GROUP BY 1
)
UPDATE errors_errorgroup g SET event_count = g.event_count + c.n,
  user_count = g.user_count + met.users,
  first_seen = least(g.first_seen, c.first_seen),
  last_event_id = CASE WHEN c.last_seen >= g.last_seen THEN c.last_event_id ELSE g.last_event_id END,
  last_seen = greatest(g.last_seen, c.last_seen)
FROM counted c JOIN met ON met.group_id = c.id WHERE g.id = c.id
"""
