"""Tables cut by time: made ahead by the owner's functions, which do that and nothing else."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.audit import services as audit
from apps.core import grants, partitions
from apps.core.ids import new_id, uuid_floor
from apps.core.models import PartitionedTable
from apps.core.owner import as_owner
from tests.at_once import at_once

DAY = timedelta(days=1)


def ask(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def children(table):
    """Partitions by name, with their bounds as PostgreSQL writes them."""
    return dict(
        ask(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
            "WHERE inhparent = %s::regclass",
            table,
        )
    )


def bounds(expression):
    return re.findall(r"'([0-9a-f-]{36})'", expression)


def midnight(at):
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def model_of(table):
    return next(m for m in apps.get_models() if m._meta.db_table == table)


@pytest.fixture
def probe(transactional_db):
    """A table of our own, cut by day and kept for ten days, on the list; gone afterwards."""
    with as_owner():
        ask("CREATE TABLE core_probe (id uuid PRIMARY KEY, said text NOT NULL CHECK (said <> ''))")
        ask("CREATE INDEX core_probe_said ON core_probe (said)")
        ask("SELECT core_partition_by_id('core_probe')")
        PartitionedTable.objects.create(name="core_probe", span="day", keep_days=10)
        grants.grant()
    yield "core_probe"
    with as_owner():
        ask("DROP TABLE core_probe")
        PartitionedTable.objects.filter(name="core_probe").delete()


def put(at, said="x"):
    ask("INSERT INTO core_probe VALUES (%s, %s)", new_id(at), said)


def places():
    """Which partition each row lies in."""
    return [name for (name,) in ask("SELECT tableoid::regclass::text FROM core_probe ORDER BY id")]


@pytest.mark.django_db
def test_every_registered_table_is_on_the_list_of_the_database():
    listed = {row.name: (row.span, row.keep_days, row.ahead) for row in PartitionedTable.objects.all()}
    assert listed == {e.table: (e.span, e.keep_days, e.ahead) for e in partitions.registry.values()}
    assert {"audit_auditevent", "errors_errorevent"} <= listed.keys()


@pytest.mark.django_db
def test_migrate_made_partitions_from_four_days_ago_to_a_week_ahead():
    today = midnight(timezone.now())
    wanted = {f"errors_errorevent_{today + DAY * n:%Y%m%d}" for n in range(-4, 7)}
    assert wanted <= children("errors_errorevent").keys()
    months = {f"audit_auditevent_{today + DAY * n:%Y%m}" for n in (0, 31, 62)}
    assert months <= children("audit_auditevent").keys()


@pytest.mark.django_db
def test_keeping_up_is_idempotent_and_makes_what_the_next_day_needs():
    now = timezone.now()
    partitions.keep_up(now)
    assert partitions.keep_up(now).said == "0 partitions made, 0 dropped"
    daily = sum(entry.span == "day" for entry in partitions.registry.values())
    assert partitions.keep_up(now + DAY).said.startswith(f"{daily} partitions made")


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu"])
def test_bounds_are_utc_midnights_whatever_zone_the_session_has(zone):
    ask(f"SET LOCAL TIME ZONE '{zone}'")
    start = datetime(2031, 3, 29, 22, 30, tzinfo=UTC)  # around a clock change of many zones
    assert partitions.ensure("errors_errorevent", start, start + 2 * DAY) == 3
    made = children("errors_errorevent")
    for n in range(3):
        day = midnight(start) + n * DAY
        low, high = bounds(made[f"errors_errorevent_{day:%Y%m%d}"])
        assert (low, high) == (str(uuid_floor(day)), str(uuid_floor(day + DAY)))


@pytest.mark.django_db
def test_a_month_ends_where_the_next_begins_also_at_the_turn_of_the_year():
    assert (
        partitions.ensure(
            "audit_auditevent", datetime(2031, 12, 31, tzinfo=UTC), datetime(2032, 1, 2, tzinfo=UTC)
        )
        == 2
    )
    made = children("audit_auditevent")
    first, second = bounds(made["audit_auditevent_203112"]), bounds(made["audit_auditevent_203201"])
    assert first[1] == second[0] == str(uuid_floor(datetime(2032, 1, 1, tzinfo=UTC)))
    assert second[1] == str(uuid_floor(datetime(2032, 2, 1, tzinfo=UTC)))


@pytest.mark.django_db
def test_an_end_at_midnight_is_exclusive():
    day = datetime(2031, 5, 1, tzinfo=UTC)
    assert partitions.ensure("errors_errorevent", day, day + DAY) == 1


@pytest.mark.django_db
@given(at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_python_and_the_database_agree_on_the_lowest_id_of_an_instant(at):
    assert ask("SELECT core_uuid_floor(%s)", at) == [(uuid_floor(at),)]


@pytest.mark.django_db(transaction=True)
def test_two_who_make_the_same_partitions_at_once_make_each_of_them_once():
    start = datetime(2031, 7, 1, tzinfo=UTC)
    try:
        assert sum(at_once(4, lambda _: partitions.ensure("errors_errorevent", start, start + 3 * DAY))) == 3
    finally:
        with as_owner():
            ask(
                "DROP TABLE errors_errorevent_20310701, errors_errorevent_20310702, errors_errorevent_20310703"
            )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE planted (id int)",
        "CREATE TABLE planted PARTITION OF errors_errorevent FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        "ALTER TABLE errors_errorevent DETACH PARTITION errors_errorevent_default",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
        "DROP TABLE errors_errorevent_default",
        "TRUNCATE errors_errorevent_default",
        "SELECT FROM audit_auditevent_default",
        "DELETE FROM audit_auditevent_default",
        "SELECT core_partition_by_id('auth_user')",
        "UPDATE core_partitionedtable SET keep_days = 0",
        "INSERT INTO core_partitionedtable VALUES ('auth_user', 'day', 7, 0)",
        "CREATE OR REPLACE FUNCTION core_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE FUNCTION public.date_trunc(text, timestamp) RETURNS timestamp LANGUAGE sql AS 'SELECT $2'",
        "SET ROLE portal_owner",
        "SET session_replication_role = replica",
    ],
)
def test_the_app_role_makes_drops_and_alters_nothing_by_itself(statement):
    with pytest.raises(ProgrammingError) as refused, transaction.atomic():
        ask(statement)
    assert refused.value.__cause__.sqlstate == "42501"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "table", ["auth_user", "no_such_table", "errors_errorevent'; DROP TABLE auth_user; --"]
)
def test_a_table_that_is_not_on_the_list_is_refused(table):
    now = timezone.now()
    with pytest.raises(ProgrammingError, match="no partitioned table"), transaction.atomic():
        partitions.ensure(table, now, now + DAY)
    assert partitions.drop_expired(table, now) == 0


@pytest.mark.django_db
def test_more_than_eight_hundred_days_at_once_are_refused():
    now = timezone.now()
    with pytest.raises(Exception, match="at most 800 days"), transaction.atomic():
        partitions.ensure("errors_errorevent", now, now + 801 * DAY)


@pytest.mark.django_db
def test_only_owner_and_app_may_call_the_functions_that_act_as_owner():
    rows = ask(
        "SELECT proname, coalesce(rolname, 'PUBLIC') FROM pg_proc CROSS JOIN aclexplode(proacl) a "
        "LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    assert {role for _, role in rows} == {"portal_owner", "portal_app"}
    assert {name for name, _ in rows} == {
        "core_ensure_partitions",
        "core_drop_expired_partitions",
        "core_keep_longer",
    }


@pytest.mark.django_db
def test_retention_drops_old_days_and_keeps_the_young_even_if_the_clock_runs_ahead():
    now = timezone.now()
    keep = partitions.registry["errors_errorevent"].keep_days
    old = now - (keep + 3) * DAY
    partitions.ensure("errors_errorevent", old, old + 10 * DAY)
    assert partitions.drop_expired("errors_errorevent", now + 5000 * DAY) == 3
    left = sorted(name for name in children("errors_errorevent") if name[-1].isdigit())
    assert left[0] == f"errors_errorevent_{now - keep * DAY:%Y%m%d}"
    assert partitions.drop_expired("errors_errorevent", now) == 0


@pytest.mark.django_db
def test_a_clock_that_runs_behind_drops_less():
    now = timezone.now()
    keep = partitions.registry["errors_errorevent"].keep_days
    old = now - (keep + 3) * DAY
    partitions.ensure("errors_errorevent", old, old + DAY)
    assert partitions.drop_expired("errors_errorevent", now - 20 * DAY) == 0


@pytest.mark.django_db
def test_the_audit_log_has_no_retention_here():
    long_ago = timezone.now() - 3000 * DAY
    partitions.ensure("audit_auditevent", long_ago, long_ago + DAY)
    assert partitions.drop_expired("audit_auditevent", timezone.now()) == 0
    assert f"audit_auditevent_{long_ago:%Y%m}" in children("audit_auditevent")


@pytest.mark.django_db
def test_a_row_of_now_lies_in_the_partition_of_now_and_default_stays_empty():
    event = audit.record("probe.written")
    (place,) = ask("SELECT tableoid::regclass::text FROM audit_auditevent WHERE id = %s", event.pk)[0]
    assert place == f"audit_auditevent_{event.received_at:%Y%m}"


def test_rows_land_in_the_day_of_their_id_to_the_millisecond(probe):
    day = midnight(timezone.now())
    partitions.ensure(probe, day - DAY, day + DAY)
    put(day - timedelta(milliseconds=1))
    put(day)
    assert places() == [f"core_probe_{day - DAY:%Y%m%d}", f"core_probe_{day:%Y%m%d}"]


def test_strays_in_default_neither_stop_later_partitions_nor_outlive_retention(probe):
    day = midnight(timezone.now())
    put(day - 9 * DAY)
    put(day)
    assert places() == ["core_probe_default", "core_probe_default"]
    assert partitions.ensure(probe, day - 2 * DAY, day + 3 * DAY) == 4
    put(day + DAY)
    assert places() == ["core_probe_default", "core_probe_default", f"core_probe_{day + DAY:%Y%m%d}"]
    with as_owner():
        PartitionedTable.objects.filter(name=probe).update(keep_days=5)
    partitions.drop_expired(probe, day)
    assert places() == ["core_probe_default", f"core_probe_{day + DAY:%Y%m%d}"]


def test_cutting_a_table_keeps_its_checks_its_index_names_and_its_primary_key(probe):
    put(timezone.now())
    with pytest.raises(IntegrityError):
        put(timezone.now(), said="")
    (row,) = ask("SELECT id, said FROM core_probe")
    ask("INSERT INTO core_probe VALUES (%s, 'again') ON CONFLICT (id) DO NOTHING", row[0])
    assert ask("SELECT id, said FROM core_probe") == [row]
    names = {name for (name,) in ask("SELECT indexname FROM pg_indexes WHERE tablename = 'core_probe'")}
    assert names == {"core_probe_pkey", "core_probe_said"}


def test_making_partitions_gives_way_to_a_long_reader_instead_of_stopping_the_writers_behind_it(probe):
    reading, may_end = threading.Event(), threading.Event()

    def read_for_long_or_make(number):
        if number == 0:
            with transaction.atomic():
                ask("SELECT FROM core_probe")
                reading.set()
                may_end.wait(30)
            return "read"
        try:
            reading.wait(30)
            start = midnight(timezone.now())
            return partitions.ensure(probe, start, start + DAY)
        except OperationalError as error:
            return error.__cause__.sqlstate
        finally:
            may_end.set()

    assert at_once(2, read_for_long_or_make) == ["read", "55P03"]


@pytest.mark.django_db
@pytest.mark.parametrize("table", sorted(partitions.registry))
def test_a_cut_table_has_the_indexes_constraints_and_columns_that_its_model_says(table):
    model = model_of(table)
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
        columns = {c.name: c.null_ok for c in connection.introspection.get_table_description(cursor, table)}
    assert {index.name for index in model._meta.indexes} <= found.keys()
    assert {constraint.name for constraint in model._meta.constraints} <= found.keys()
    assert columns == {f.column: f.null for f in model._meta.concrete_fields}
    related = [f for f in model._meta.concrete_fields if f.is_relation and f.db_constraint]
    keys = {f.column: (f.related_model._meta.db_table, f.target_field.column) for f in related}
    assert {c["columns"][0]: c["foreign_key"] for c in found.values() if c["foreign_key"]} == keys
    assert [c["columns"] for c in found.values() if c["primary_key"]] == [["id"]]


@pytest.mark.django_db(transaction=True)
def test_each_partition_of_the_audit_log_refuses_truncate_also_a_new_one_and_also_the_owner():
    start = datetime(2031, 1, 15, tzinfo=UTC)
    partitions.ensure("audit_auditevent", start, start + DAY)
    try:
        names = ["audit_auditevent", *children("audit_auditevent")]
        assert {"audit_auditevent_203101", "audit_auditevent_default"} <= set(names)
        with as_owner():
            for name in names:
                with pytest.raises(ProgrammingError, match="is append-only"), transaction.atomic():
                    ask(f"TRUNCATE {name}")
    finally:
        with as_owner():
            ask("DROP TABLE audit_auditevent_203101")


@pytest.mark.django_db(transaction=True)
def test_a_partial_migration_lists_what_exists_and_forgets_nothing_for_the_next_one():
    registered = dict(partitions.registry)
    with as_owner():
        partitions.write_allow_list(["audit_auditevent"])
        listed = set(PartitionedTable.objects.values_list("name", flat=True))
        partitions.write_allow_list(connection.introspection.table_names())
    assert listed == {"audit_auditevent"}
    assert partitions.registry == registered
    assert set(PartitionedTable.objects.values_list("name", flat=True)) == registered.keys()
