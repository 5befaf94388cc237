"""`demo`: load the demo story, or take it out again."""

from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.core import context
from reliability_portal.demo import load, remove, story


class Command(BaseCommand):
    """90 days of a small team's life, ending now. Never into somebody's real database unless asked."""

    help = "Load the demo story (90 days, one incident going on); --remove takes it out and keeps its audit events."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, and where."""
        parser.add_argument("--remove", action="store_true", help="take the story out again")
        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing when anything is here already"
        )
        parser.add_argument(
            "--errors", type=int, default=story.ERRORS, help="how many (default: %(default)s)"
        )
        parser.add_argument("--seed", type=int, default=1, help="another seed tells it a little differently")
        parser.add_argument(
            "--force-external", action="store_true", help="even into the database of DATABASE_URL"
        )

    def handle(self, **options: Any) -> None:
        """One of the three."""
        if not settings.EMBEDDED_DATABASE and not options["force_external"]:
            raise CommandError(
                "DATABASE_URL is set: the demo stays out of it. --force-external loads it all the same."
            )
        if options["errors"] < story.FEWEST:
            raise CommandError(f"--errors: the incidents of the story alone have {story.FEWEST:,}.")
        with context.entered(context.RequestContext(actor_label="demo")):
            if options["remove"]:
                remove.remove(say=self.stdout.write)
            elif load.is_empty():
                self._load(options["seed"], options["errors"])
            elif not options["if_empty"]:
                raise CommandError("This portal is not empty. `demo --remove` takes an earlier story out.")

    def _load(self, seed: int, n_errors: int) -> None:
        begun = perf_counter()
        load.load(now=timezone.now(), seed=seed, n_errors=n_errors, say=self._say)
        self.stdout.write(f"demo: loaded in {perf_counter() - begun:.0f} s")

    def _say(self, words: str) -> None:
        self.stdout.write(f"demo: {words}")
