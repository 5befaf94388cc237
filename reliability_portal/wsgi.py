"""What the web server calls: the Sentry door, and behind it Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")

from django.core.wsgi import get_wsgi_application

django_application = get_wsgi_application()

from apps.ingest.door import Door  # noqa: E402

application = Door(django_application)
