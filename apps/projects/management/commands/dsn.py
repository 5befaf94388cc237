"""`dsn PROJECT`: print the DSN, making the project if it is missing."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.projects import services
from apps.projects.models import Project


class Command(BaseCommand):
    """Nothing but the DSN goes to standard output, so that a script can take it."""

    help = "Print a project's DSN; the project and its key are made if they are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        """PROJECT and --key."""
        parser.add_argument("project", help="name or slug")
        parser.add_argument(
            "--key", default="", metavar="HEX", help="32 hex digits, for a key known beforehand"
        )

    def handle(self, *, project: str, key: str, **_: Any) -> None:
        """Find or make, then print."""
        try:
            self.stdout.write(services.dsn(self._key(project, key)))
        except ValidationError as error:
            raise CommandError(services.refusal(error)) from error

    def _key(self, name: str, wanted: str) -> Any:
        project = Project.objects.filter(slug=name).first() or Project.objects.filter(name=name).first()
        if project is None:
            project = services.create_project(name=name, key=wanted)
        usable = project.keys.usable(timezone.now())
        if wanted:
            return usable.filter(public_key=wanted).first() or services.create_key(
                project=project, public_key=wanted
            )
        return usable.first() or services.create_key(project=project)
