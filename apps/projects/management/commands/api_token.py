"""`api_token USER`: make a token and print it, once."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.projects import services
from apps.projects.models import SCOPES


class Command(BaseCommand):
    """The secret is stored as a digest only: this is the one time it can be seen."""

    help = "Make an API token for a user and print it. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """USER, --scope, --name, --days."""
        parser.add_argument("user")
        parser.add_argument(
            "--scope", action="append", choices=sorted(SCOPES), help="may be given several times"
        )
        parser.add_argument("--name", default="token", help="what the token is for")
        parser.add_argument("--days", type=int, default=365, help="days until it ends (365)")

    def handle(self, *, user: str, scope: list[str] | None, name: str, days: int, **_: Any) -> None:
        """Make and print."""
        owner = get_user_model().objects.filter(username=user, is_active=True).first()
        if owner is None:
            raise CommandError(f"No active user is called {user!r}.")
        if not 1 <= days <= 3650:
            raise CommandError("--days: from 1 to 3650.")
        try:
            _token, secret = services.create_token(
                user=owner,
                scopes=scope or ["api:read"],
                name=name,
                expires_at=timezone.now() + timedelta(days=days),
            )
        except ValidationError as error:
            raise CommandError(services.refusal(error)) from error
        self.stdout.write(secret)
