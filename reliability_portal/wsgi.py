"""What the web server calls: a deadline for bodies, the Sentry door, and behind it Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

django_application = get_wsgi_application()

from apps.core.slow_bodies import BodyDeadline, Watch  # noqa: E402
from apps.ingest.door import Door  # noqa: E402

application = BodyDeadline(Door(django_application), Watch(deadline_s=settings.BODY_DEADLINE_S))
