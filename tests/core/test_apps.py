from django.apps import apps

from apps.core.scrub import REMOVED, scrub_text


def test_the_installations_own_secrets_are_known_to_the_scrubber_from_the_start(settings):
    settings.EMAIL_HOST_PASSWORD = "tulip lantern harbour"
    settings.PORTAL_ENCRYPTION_KEYS = ["Zm9yIHRlc3RzIG9ubHk="]
    settings.SLACK_WEBHOOK_URL = ""
    apps.get_app_config("core").ready()
    for secret in (settings.SECRET_KEY, settings.EMAIL_HOST_PASSWORD, *settings.PORTAL_ENCRYPTION_KEYS):
        assert scrub_text(f"it said {secret} aloud") == f"it said {REMOVED} aloud"
    assert scrub_text("nothing to hide") == "nothing to hide"
