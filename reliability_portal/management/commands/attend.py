"""`attend name [slot]`: stay with one slot of a tick that has a process of its own, until a signal."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from reliability_portal.attend import attend
from reliability_portal.celery import OWN, TICKS


class Command(BaseCommand):
    """What `up` forks for each slot, where every process is a service of its own."""

    help = (
        "Run one tick again and again, under its lease, until SIGTERM. It needs the database and no Celery."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The tick and its slot."""
        parser.add_argument("name", choices=[tick.name for tick in TICKS if tick.queue == OWN])
        parser.add_argument("slot", nargs="?", type=int, default=0)

    def handle(self, *, name: str, slot: int, **_: Any) -> None:
        """Stay until told to stop."""
        slots = next(tick.slots for tick in TICKS if tick.name == name)
        if slot not in range(slots):
            raise CommandError(f"{name} has the slots 0 to {slots - 1}.")
        attend(name, slot)
