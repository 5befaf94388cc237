"""`watchdog`: look once whether the pager works, for cron on any host that reaches the database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.alerts.watchdog import looking
from apps.core.ticks import database_now


class Command(BaseCommand):
    """Exit code 1 when something is wrong, so that cron itself can tell."""

    help = "Look whether escalations and pages are on time; report by WATCHDOG_EMAIL and WATCHDOG_URL if not."

    def handle(self, **_: Any) -> None:
        """One look, narrated."""
        found = looking.look(now=database_now())
        told = " Reported." if found.reported else ""
        if found.wrong:
            raise CommandError(" ".join(found.wrong) + told)
        self.stdout.write("The pager is on time." + told + (" Sign of life given." if found.pinged else ""))
