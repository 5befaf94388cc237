"""`manage.py up`: the whole portal as one process tree."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, get_commands

from apps.core import embedded
from reliability_portal.env import env_bool, env_int


class Command(BaseCommand):
    """Runs everything until Ctrl-C."""

    help = "Start the servers, migrate, and run web, workers and beat until Ctrl-C."
    requires_system_checks = ()  # `migrate` runs them, once the database is there

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The one choice that is not a setting."""
        parser.add_argument(
            "--no-demo", action="store_true", help="do not load the demo story into an empty portal"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Become the supervisor: the settings are checked, and the framework need not stay in its memory."""
        env_int("WEB_WORKERS", 2, low=1, high=64)
        demo = settings.EMBEDDED_DATABASE and not options["no_demo"] and env_bool("PORTAL_DEMO", True)
        flags = ["--demo"] if demo and "demo" in get_commands() else []
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns of a missing one
        os.environ["PORTAL_DATA_DIR"] = str(embedded.data_dir())
        os.chdir(settings.BASE_DIR)
        self.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "reliability_portal.processes", *flags])  # noqa: S606
