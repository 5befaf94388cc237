"""Whose Slack account is whose."""

from typing import Any

from django.db import transaction

from apps.alerts.models import SlackPerson
from apps.audit import services as audit
from apps.audit.models import Category


@transaction.atomic
def link(*, team: str, person: str, name: str, user: Any) -> SlackPerson:
    """From now on what this Slack account presses is done by `user`."""
    linked, _ = SlackPerson.objects.update_or_create(
        team=team, person=person, defaults={"name": name[:80], "user": user}
    )
    audit.record(
        "slack.link", resource=linked, category=Category.SECURITY, actor=user, details={"name": name[:80]}
    )
    return linked
