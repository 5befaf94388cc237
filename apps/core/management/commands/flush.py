"""`flush` for test databases only: it would empty the audit log."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.flush import Command as Flush
from django.db import connections

from apps.core import grants
from apps.core.owner import as_owner


class Command(Flush):
    """As owner, with the triggers of the append-only tables out of the way; refused outside tests."""

    def handle(self, **options: Any) -> None:
        """Empty every table of a database whose name starts with test_."""
        connection = connections[options["database"]]
        if not str(connection.settings_dict["NAME"]).startswith("test_"):
            raise CommandError(
                "flush would erase the audit log. `make reset` removes an embedded portal's data."
            )
        with as_owner(options["database"]):
            self._triggers(connection, "DISABLE")
            super().handle(**options)
            self._triggers(connection, "ENABLE ALWAYS")

    def _triggers(self, connection: Any, verb: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger "
                "WHERE tgname IN ('refuse_change', 'refuse_truncate')"
            )
            for table, trigger in cursor.fetchall():
                if table.split(".")[-1] in grants.append_only_tables or trigger == "refuse_truncate":
                    cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER {trigger}")
