"""`flush` for test databases only: it would empty the audit log."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.color import no_style
from django.core.management.commands.flush import Command as Flush
from django.db import connections, transaction

from apps.core.owner import as_owner

# What migrations wrote and every test counts on: roles with their permissions, and the list of partitioned tables.
KEPT = frozenset(
    (
        "core_partitionedtable",
        "django_content_type",
        "auth_permission",
        "auth_group",
        "auth_group_permissions",
    )
)


class Command(Flush):
    """As owner, with the triggers that refuse TRUNCATE out of the way; refused outside tests."""

    def handle(self, **options: Any) -> None:
        """Empty the tables of a database whose name starts with test_, but those that migrations filled."""
        alias = options["database"]
        connection = connections[alias]
        if not str(connection.settings_dict["NAME"]).startswith("test_"):
            raise CommandError(
                "flush would erase the audit log. `make reset` removes an embedded portal's data."
            )
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = sorted(set(names) - KEPT)
        with as_owner(alias), transaction.atomic(using=alias):
            _refusals(connection, "DISABLE")
            restart = options.get("reset_sequences", True)
            for statement in connection.ops.sql_flush(no_style(), emptied, reset_sequences=restart):
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            _refusals(connection, "ENABLE ALWAYS")


def _refusals(connection: Any, verb: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'refuse_truncate'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER refuse_truncate")
