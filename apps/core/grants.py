"""What the app role may do: all to ordinary tables, SELECT and INSERT to append-only ones, nothing to partitions.

Written after each `migrate`, by the owner, so that a new table is reachable and an append-only one is closed without
anybody having to remember it. With one role for everything only the triggers hold; `manage.py check` says so.
"""

import dj_database_url
from django.conf import settings
from django.db import connection
from psycopg import sql

append_only_tables: set[str] = set()
# What the app role may do as the owner, and nothing else: apps.core.partitions.
_DOORS = ("core_ensure_partitions", "core_drop_expired_partitions", "core_keep_longer")
read_only_tables: set[str] = {"core_partitionedtable", "django_migrations"}


def app_role() -> str:
    """Name of the role that web and workers connect as."""
    return str(settings.DATABASE_APP_ROLE)


def two_roles() -> bool:
    """Whether owner and app are two roles."""
    if not settings.DATABASE_OWNER_URL:
        return False
    return bool(dj_database_url.parse(settings.DATABASE_OWNER_URL).get("USER") != app_role())


def grant() -> None:
    """Give the app role its rights, and no more. Owner only."""
    if not two_roles():
        return
    role = sql.Identifier(app_role())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relispartition FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = current_schema()::regnamespace AND pg_get_userbyid(relowner) = current_user"
        )
        for table, is_partition in cursor.fetchall():
            cursor.execute(_statement(table, is_partition, role))
        cursor.execute("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = ANY (%s)", [list(_DOORS)])
        for (function,) in cursor.fetchall():
            cursor.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), role))
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
        cursor.execute(sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role))


def _statement(table: str, partition: bool, role: sql.Identifier) -> sql.Composed:
    name = sql.Identifier(table)
    revoke = sql.SQL("REVOKE ALL ON {} FROM {};").format(name, role)
    if partition:
        return revoke
    rights = "SELECT, INSERT, UPDATE, DELETE"
    if table in append_only_tables:
        rights = "SELECT, INSERT"
    if table in read_only_tables:
        rights = "SELECT"
    grant_ = sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), name, role)
    return sql.SQL(" ").join([revoke, grant_])
