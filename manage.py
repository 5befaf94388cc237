#!/usr/bin/env python
"""Command line of the portal. Commands that need the database find its server here, or start it while they run."""

import os
import sys

from apps.core import embedded


def main() -> None:
    """Run one management command with the servers it needs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")
    from django.core.management import execute_from_command_line

    with embedded.servers_for(sys.argv[1:]):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
