"""The page of storage: what the catalogue says, whose part it is, and what goes when."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core import panels, partitions
from apps.core.models import TickRun
from apps.errors.models import ErrorEvent
from apps.errors.retention import EVENTS
from apps.errors.storing import store_batch
from apps.ingest.models import ItemCount
from apps.projects.models import RetentionDay
from apps.reports import retention_plan, storage
from tests import cached
from tests.errors.make import NOW, make_event, make_project
from tests.people import make_person

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PAGE = "/admin/storage/"


def make_visitor(*roles: str) -> Client:
    client = Client()
    client.force_login(make_person("alice", *roles))
    return client


def make_events(project, count: int, first: int = 0, age_s: int = 0) -> None:
    store_batch(events=[make_event(project, first + n, age_s=age_s) for n in range(count)])


def table_of(found: storage.Storage, name: str) -> storage.Table:
    return next(t for room in found.rooms for t in room.tables if t.name == name)


def test_every_table_stands_in_its_room_once_with_all_its_partitions():
    found = storage.storage(NOW)
    rooms = {t.name: room.name for room in found.rooms for t in room.tables}
    assert rooms["errors_errorevent"] == "errors"
    assert rooms["audit_auditevent"] == "audit"
    assert rooms["auth_user"] == "Django"
    assert rooms["projects_team_members"] == "projects"
    assert not any(name.startswith("errors_errorevent_") for name in rooms)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", [EVENTS])
        assert table_of(found, EVENTS).partitions == cursor.fetchone()[0]


def test_bytes_of_a_table_are_those_of_its_partitions_with_their_indexes():
    make_events(make_project(), 50)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)), sum(pg_indexes_size(inhrelid)) FROM pg_inherits "
            "WHERE inhparent = %s::regclass",
            [EVENTS],
        )
        total, indexes = map(int, cursor.fetchone())
    table = table_of(storage.storage(NOW), EVENTS)
    assert (table.bytes, table.index_bytes) == (total, indexes)
    assert total > indexes > 0


def test_sums_are_the_sums_of_what_stands_beneath():
    found = storage.storage(NOW)
    assert found.bytes == sum(room.bytes for room in found.rooms)
    for room in found.rooms:
        assert room.bytes == sum(table.bytes for table in room.tables)


def test_rows_that_postgresql_has_not_estimated_are_said_to_be_unknown_and_not_none():
    relation = storage.Relation("t", "t_20310101", 1, 1, None)
    (room,) = storage._rooms([relation])
    assert room.tables[0].rows is None
    (room,) = storage._rooms([relation, storage.Relation("t", "t_20310102", 1, 1, 7)])
    assert room.tables[0].rows == 7


def test_a_days_bytes_are_shared_by_the_events_that_the_counters_have_of_each_project():
    shop, desk = make_project(), make_project("Desk")
    make_events(shop, 30)
    make_events(desk, 10, first=100)
    cut = next(c for c in storage.storage(NOW).cuts if c.table == EVENTS)
    today = cut.days[-1]
    assert today.day == NOW.date()
    assert [(name, n) for name, n, _ in today.shares] == [("Shop", 30), ("Desk", 10)]
    assert [part for _, _, part in today.shares] == [round(today.bytes * 3 / 4), round(today.bytes / 4)]
    assert [s.name for s in cut.series] == ["Desk", "Shop"]


def test_a_day_without_partition_has_no_line_and_one_beyond_thirty_days_neither():
    old = NOW - 40 * DAY
    partitions.ensure(EVENTS, old, old + DAY)
    cut = next(c for c in storage.storage(NOW).cuts if c.table == EVENTS)
    assert [d.day for d in cut.days] == [NOW.date() - n * DAY for n in (4, 3, 2, 1, 0)]


def test_growth_is_the_mean_of_full_days_and_today_is_not_one():
    relations = {NOW.date() - n * DAY: storage.Relation(EVENTS, "x", 1000 * n, 0, 1) for n in range(4)}
    cut = storage._cut(EVENTS, dict(sorted(relations.items())), {}, {}, NOW)
    assert cut.per_day == 2000
    only_today = storage._cut(EVENTS, {NOW.date(): storage.Relation(EVENTS, "x", 9, 0, 1)}, {}, {}, NOW)
    assert only_today.per_day is None


class Listed:
    def __init__(self, name: str, keep_days: int | None, span: str = "day") -> None:
        self.name, self.keep_days, self.span = name, keep_days, span


AT = datetime(2031, 3, 10, 12, tzinfo=UTC)


def plan(*listed: Listed, **kept: int) -> list[tuple[str, str, str, date | None]]:
    oldest = {EVENTS: date(2031, 3, 1)}
    found = retention_plan.drops(listed=listed, oldest=oldest, kept=kept, now=AT)
    return [(d.table, d.project, d.kept, d.at) for d in found]


def test_a_day_goes_when_its_last_row_has_come_of_age():
    assert plan(Listed(EVENTS, 10)) == [(EVENTS, "", "10 days", date(2031, 3, 12))]


def test_the_date_that_is_told_is_the_first_on_which_the_database_drops_that_day():
    keep = partitions.registry[EVENTS].keep_days
    day = NOW - (keep + 1) * DAY
    partitions.ensure(EVENTS, day, day + timedelta(seconds=1))
    (told,) = [d for d in storage.storage(NOW).drops if d.table == EVENTS and not d.project]
    assert (told.day, told.at) == (day.date(), NOW.date())
    assert partitions.drop_expired(EVENTS, NOW - DAY) == 0
    assert partitions.drop_expired(EVENTS, NOW) == 1


def test_a_project_with_fewer_days_has_a_line_and_others_have_none():
    assert plan(Listed(EVENTS, 10), Shop=10, Desk=3) == [
        (EVENTS, "Desk", "3 days", date(2031, 3, 11)),
        (EVENTS, "", "10 days", date(2031, 3, 12)),
    ]


def test_what_is_kept_for_ever_stands_last_without_a_date():
    assert plan(Listed("audit_auditevent", None, "month"), Listed(EVENTS, 10))[-1] == (
        "audit_auditevent", "", "for ever", None,
    )  # fmt: skip


def test_ingestion_tells_what_waits_and_what_was_set_aside():
    assert panels.names(storage.PAGE, "waiting") == ["ingest"]
    TickRun.objects.create(name="ingest.drain", every_s=1, backlog=1234, oldest_at=NOW - timedelta(minutes=2))
    for age, n in ((0, 3), (29, 4), (30, 100)):
        ItemCount.objects.create(
            day=NOW.date() - age * DAY, project_id=1, item_type="event", outcome="set_aside", n=n
        )
    ItemCount.objects.create(day=NOW.date(), project_id=1, item_type="event", outcome="stored", n=50)
    (panel,) = storage.storage(NOW).waiting
    assert [(row.label, row.value, row.state) for row in panel.rows] == [
        ("Waiting in the inbox", "1,234", "warning"),
        ("Set aside today", "3", "warning"),
        ("Set aside in 30 days", "7", ""),
    ]


def test_without_a_drain_the_inbox_is_unknown_and_not_empty():
    (panel,) = storage.storage(NOW).waiting
    assert (panel.rows[0].value, panel.rows[0].state) == ("no drain has run", "nodata")


def test_what_retention_deleted_for_projects_is_summed_over_thirty_days():
    project = make_project()
    for age, n in ((0, 5), (29, 7), (30, 100)):
        RetentionDay.objects.create(day=NOW.date() - age * DAY, project=project, table=EVENTS, n=n)
    assert storage.storage(NOW).deleted == [("Shop", 12)]


def queries_of(client: Client) -> int:
    cached.forget()
    with CaptureQueriesContext(connection) as caught:
        assert client.get(PAGE).status_code == 200
    return len(caught)


def test_the_page_asks_as_often_with_many_projects_and_events_as_with_none():
    client = make_visitor("Admin")
    queries_of(client)
    before = queries_of(client)
    for n in range(4):
        project = make_project(f"Shop {n}")
        project.error_retention_days = 10 + n
        project.save()
        make_events(project, 20, first=100 * n, age_s=n * 3600)
        RetentionDay.objects.create(day=NOW.date(), project=project, table=EVENTS, n=1)
    assert ErrorEvent.objects.count() == 80
    assert queries_of(client) == before


def test_the_page_shows_project_table_and_how_each_figure_is_made():
    make_events(make_project("<b>Shop</b>"), 3)
    page = make_visitor("Viewer").get(PAGE).content.decode()
    assert "&lt;b&gt;Shop&lt;/b&gt;" in page
    assert "<b>Shop</b>" not in page
    assert page.count("How is this made?") >= 7


def test_the_page_is_for_who_may_see_the_tables_alone():
    assert make_visitor().get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_the_menu_leads_to_it():
    assert f'href="{PAGE}"' in make_visitor("Viewer").get("/admin/").content.decode()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_changes_nothing(method):
    client = make_visitor("Admin")
    assert getattr(client, method)(PAGE).status_code == 405
