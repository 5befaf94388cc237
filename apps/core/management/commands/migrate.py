"""`migrate` as the owner, followed by the app role's rights and the partitions ahead of now."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate
from django.db import connections, transaction
from django.utils import timezone

from apps.core import grants, partitions
from apps.core.models import PartitionedTable
from apps.core.owner import as_owner


class Command(Migrate):
    """Django's command with the portal's two roles around it."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, then bring rights and partitions in line; each step is idempotent."""
        alias = options["database"]
        with as_owner(alias):
            super().handle(*args, **options)
            tables = connections[alias].introspection.table_names()
            if PartitionedTable._meta.db_table not in tables or options["plan"]:
                return
            with transaction.atomic(using=alias):
                partitions.write_allow_list(tables)
                partitions.keep_up(timezone.now())
                grants.grant()
