"""Tables cut by time: which they are, the partitions ahead of now, and dropping what retention has passed.

The primary key is a time-ordered uuid (apps.core.ids), so a partition is a range of ids and `ON CONFLICT (id)` works.
The app role cannot make or drop tables: functions of the owner do it, for listed tables only, and they refuse to drop
what is younger than the table's `keep_days`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.migrations.operations import RunSQL

from apps.core.models import PartitionedTable
from apps.core.ticks import TickReport


@dataclass(frozen=True)
class Partitioned:
    """What a room registers: its table, the span of one partition, how long rows are kept (None: for ever).

    `longest` asks, where single projects may keep rows longer than `keep_days`, for the days of the longest.
    """

    table: str
    span: str
    keep_days: int | None = None
    ahead: int = 7
    longest: Callable[[], int] | None = None

    def days(self) -> int | None:
        """How long a partition must stay, as of now."""
        if self.keep_days is None or self.longest is None:
            return self.keep_days
        return max(self.keep_days, self.longest())


registry: dict[str, Partitioned] = {}


def register(entry: Partitioned) -> None:
    """Called in `AppConfig.ready()`; `migrate` writes the list into the database as owner."""
    registry[entry.table] = entry


def write_allow_list(existing: Collection[str]) -> None:
    """Bring the database's list in line with the registry, for tables that exist already. Owner only."""
    rows = [
        PartitionedTable(name=e.table, span=e.span, ahead=e.ahead, keep_days=e.days())
        for e in registry.values()
        if e.table in existing
    ]
    PartitionedTable.objects.exclude(name__in=[row.name for row in rows]).delete()
    PartitionedTable.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["name"], update_fields=["span", "ahead", "keep_days"]
    )


def ensure(table: str, start: datetime, end: datetime) -> int:
    """Make every missing partition of [start, end); returns how many were made. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_ensure_partitions(%s, %s, %s)", [table, start, end])
        return int(cursor.fetchone()[0])


def keep_longer(table: str, days: int) -> bool:
    """Let the partitions of a table live longer; whether that changed anything. Only `migrate` shortens."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_keep_longer(%s, %s)", [table, days])
        return bool(cursor.fetchone()[0])


def drop_expired(table: str, now: datetime) -> int:
    """Drop the partitions that retention has passed; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_drop_expired_partitions(%s, %s)", [table, now])
        return int(cursor.fetchone()[0])


def keep_up(now: datetime) -> TickReport:
    """The tick's work: partitions ahead of time, and retention, for every listed table.

    What a project shall now keep for longer is heard of before anything is dropped.
    """
    made = dropped = 0
    for entry in registry.values():
        if entry.longest and (days := entry.days()):
            keep_longer(entry.table, days)
    for row in PartitionedTable.objects.all():
        span = timedelta(days=1 if row.span == PartitionedTable.DAY else 31)
        made += ensure(row.name, now - timedelta(days=4), now + span * row.ahead)
        dropped += drop_expired(row.name, now)
    return TickReport(said=f"{made} partitions made, {dropped} dropped")


def partition_by_id(table: str) -> RunSQL:
    """Migration operation: turn the freshly created, empty table into one partitioned by ranges of its id."""
    return RunSQL(f"SELECT core_partition_by_id('{table}')", RunSQL.noop)


FUNCTIONS = """
CREATE FUNCTION core_uuid_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Rebuilds an empty table as a partitioned one: same columns, checks, foreign keys, and indexes under their own names.
CREATE FUNCTION core_partition_by_id(p_table text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE plain text := p_table || '_plain'; v_sql text; v_later text[];
BEGIN
  EXECUTE format('ALTER TABLE %I RENAME TO %I', p_table, plain);
  SELECT array_agg(format('ALTER TABLE %I ADD CONSTRAINT %I %s', p_table, conname, pg_get_constraintdef(oid)))
    INTO v_later FROM pg_constraint WHERE conrelid = plain::regclass AND contype IN ('p', 'f');
  SELECT v_later || coalesce(array_agg(replace(pg_get_indexdef(indexrelid), plain || ' ', p_table || ' ')), '{}')
    INTO v_later FROM pg_index WHERE indrelid = plain::regclass AND NOT indisprimary;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) '
                 'PARTITION BY RANGE (id)', p_table, plain);
  EXECUTE format('DROP TABLE %I', plain);
  FOREACH v_sql IN ARRAY v_later LOOP EXECUTE v_sql; END LOOP;
  EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', p_table || '_default', p_table);
END $$;

-- A new partition needs its parent alone for a moment: after 3 s of waiting it gives way to those who write and read.
CREATE FUNCTION core_ensure_partitions(p_table text, p_from timestamptz, p_to timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE v_span text; v_at timestamp; v_next timestamp; v_name text; v_low uuid; v_high uuid; v_strays boolean;
        v_made integer := 0;
BEGIN
  SELECT span INTO v_span FROM core_partitionedtable WHERE name = p_table;
  IF v_span IS NULL THEN
    RAISE EXCEPTION 'no partitioned table %', p_table USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF p_to - p_from > interval '800 days' THEN
    RAISE EXCEPTION 'at most 800 days at once' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('core_partitions'), hashtext(p_table));
  v_at := date_trunc(v_span, p_from AT TIME ZONE 'UTC');
  WHILE v_at < p_to AT TIME ZONE 'UTC' LOOP
    v_next := v_at + ('1 ' || v_span)::interval;
    v_name := p_table || to_char(v_at, CASE v_span WHEN 'day' THEN '"_"YYYYMMDD' ELSE '"_"YYYYMM' END);
    v_low := core_uuid_floor(v_at AT TIME ZONE 'UTC');
    v_high := core_uuid_floor(v_next AT TIME ZONE 'UTC');
    -- Rows that came while nobody made partitions lie in DEFAULT and stay there: their span can have none any more,
    -- and must not keep the following ones from being made.
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id >= %L AND id < %L)', p_table || '_default', v_low, v_high)
      INTO v_strays;
    IF to_regclass(v_name) IS NULL AND NOT v_strays THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', v_name, p_table, v_low, v_high);
      -- Statement triggers are not cloned to partitions: without this the owner could truncate one past them.
      IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = p_table::regclass AND tgname = 'refuse_truncate') THEN
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I EXECUTE FUNCTION core_refuse()', v_name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER refuse_truncate', v_name);
      END IF;
      v_made := v_made + 1;
    END IF;
    v_at := v_next;
  END LOOP;
  RETURN v_made;
END $$;

CREATE FUNCTION core_drop_expired_partitions(p_table text, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE v_keep integer; v_span text; v_end timestamptz; v_cut text; v_child record; v_dropped integer := 0;
BEGIN
  SELECT keep_days, span INTO v_keep, v_span FROM core_partitionedtable WHERE name = p_table;
  IF v_keep IS NULL THEN RETURN 0; END IF;
  -- The caller's clock may run ahead of ours, but never make us drop more than ours would.
  v_end := least(p_now, now()) - make_interval(days => v_keep);
  v_cut := to_char(v_end AT TIME ZONE 'UTC', CASE v_span WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END);
  EXECUTE format('DELETE FROM %I WHERE id < %L', p_table || '_default', core_uuid_floor(v_end));
  FOR v_child IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = p_table::regclass AND c.relname ~ ('^' || p_table || '_[0-9]+$')
        AND substr(c.relname, length(p_table) + 2) < v_cut LOOP
    EXECUTE format('DROP TABLE %I', v_child.relname);
    v_dropped := v_dropped + 1;
  END LOOP;
  RETURN v_dropped;
END $$;

CREATE FUNCTION core_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;

REVOKE EXECUTE ON FUNCTION core_ensure_partitions, core_drop_expired_partitions FROM PUBLIC;
"""
# The app role may ask for more than the list says, never for less: whoever takes over the web process must not be able
# to have history dropped. Ten years are the end, as in the settings.
KEEP_LONGER = """
CREATE FUNCTION core_keep_longer(p_table text, p_days integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE core_partitionedtable SET keep_days = p_days
    WHERE name = p_table AND keep_days < p_days AND p_days <= 3650;
  RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION core_keep_longer FROM PUBLIC;
"""
DROP_FUNCTIONS = """
DROP FUNCTION core_ensure_partitions; DROP FUNCTION core_drop_expired_partitions; DROP FUNCTION core_partition_by_id;
DROP FUNCTION core_refuse; DROP FUNCTION core_uuid_floor;
"""


def append_only(table: str) -> RunSQL:
    """Migration operation: refuse UPDATE, DELETE and TRUNCATE, also for the owner and for replication roles."""
    return RunSQL(
        f"""
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION core_refuse();
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION core_refuse();
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change;
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_truncate;
        """,
        f"DROP TRIGGER refuse_change ON {table}; DROP TRIGGER refuse_truncate ON {table};",
    )
