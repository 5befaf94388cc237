import os
import subprocess
import sys

from django.apps import apps

from apps.core.scrub import REMOVED, scrub_text
from tests.core.processes import PROJECT


def test_the_installations_own_secrets_are_known_to_the_scrubber_from_the_start(settings):
    settings.EMAIL_HOST_PASSWORD = "tulip lantern harbour"
    settings.PORTAL_ENCRYPTION_KEYS = ["Zm9yIHRlc3RzIG9ubHk="]
    settings.SLACK_WEBHOOK_URL = ""
    apps.get_app_config("core").ready()
    for secret in (settings.SECRET_KEY, settings.EMAIL_HOST_PASSWORD, *settings.PORTAL_ENCRYPTION_KEYS):
        assert scrub_text(f"it said {secret} aloud") == f"it said {REMOVED} aloud"
    assert scrub_text("nothing to hide") == "nothing to hide"


def test_a_process_that_starts_knows_them_before_it_does_anything(tmp_path):
    given = {
        "SECRET_KEY": "k" * 50,
        "SMTP_PASS": "tulip lantern",
        "DATABASE_URL": "postgresql://shop:bread%20knife@db.example.org/shop",
        "DATABASE_OWNER_URL": "postgresql://owner:garden-gate@db.example.org/shop",
        "REDIS_URL": "redis://:window-sill@cache.example.org:6379/0",
        "PORTAL_ENV": "staging",
        "PORTAL_ENCRYPTION_KEYS": "",
        "PORTAL_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "reliability_portal.settings",
    }
    program = "\n".join([
        "import sys, django", "django.setup()",
        "from apps.core.scrub import scrub_text", "print(scrub_text(sys.argv[1]))",
    ])  # fmt: skip
    said = "k" * 50 + "|tulip lantern|bread knife|garden-gate|window-sill|harmless"
    told = subprocess.run(
        [sys.executable, "-c", program, said], cwd=PROJECT, env={**os.environ, **given}, timeout=120,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "|".join([REMOVED] * 5 + ["harmless"])
