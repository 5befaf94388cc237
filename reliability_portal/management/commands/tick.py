"""`tick [name …]`: run ticks once, here and now, without Celery; all of them when none is named."""

from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import ticks
from reliability_portal.celery import OWN, TICKS

_WORKS_FOR_S = 20


class Command(BaseCommand):
    """What beat would wake, narrated. Exit code 1 if a tick failed, so that cron can tell."""

    help = "Run ticks once and say what each did. From cron this pages even while Celery is away."

    def add_arguments(self, parser: CommandParser) -> None:
        """Names of ticks."""
        parser.add_argument("name", nargs="*", help=", ".join(tick.name for tick in TICKS))

    def handle(self, *, name: list[str], **_: Any) -> None:
        """Run each in the order of the table, which is the order in which data flows."""
        unknown = sorted(set(name) - {tick.name for tick in TICKS})
        if unknown:
            raise CommandError(
                f"No such tick: {', '.join(unknown)}. There are: {', '.join(t.name for t in TICKS)}."
            )
        failed = [
            t.name for t in TICKS if not name or t.name in name for s in range(t.slots) if not self._run(t, s)
        ]
        if failed:
            raise CommandError(f"Failed: {', '.join(failed)}.")

    def _run(self, tick: ticks.Tick, slot: int) -> bool:
        begun = perf_counter()
        if tick.queue == OWN:
            ran = ticks.stay(tick.name, slot, lambda: perf_counter() - begun < _WORKS_FOR_S, resting=False)
        else:
            ran = ticks.run(tick.name, slot)
        said = ran.error or ran.report.said or "nothing to do"
        self.stdout.write(f"{tick.name:<18} {said} ({(perf_counter() - begun) * 1000:.0f} ms)")
        return ran.ok
