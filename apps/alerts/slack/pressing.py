"""What a press of a button in Slack does, and what is said to who pressed it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.urls import reverse

from apps.alerts import services
from apps.alerts.models import Alert, SlackPerson
from apps.alerts.services import Act
from apps.core.refusal import Refused

MAY = "alerts.acknowledge_alert"
SALT, LINK_LIFE_S = "alerts.slack.link", 900


@dataclass(frozen=True)
class Press:
    """One press: who, in which workspace, which action, on which alert as of which episode, where to answer."""

    team: str
    person: str
    name: str
    action: str
    alert: int
    epoch: int
    response_url: str


def read(payload: Any) -> Press | None:
    """The press in a decoded payload; None for what is none of our buttons. Refused for what cannot be read."""
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        return None
    user, actions = payload.get("user"), payload.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(user, dict) or not isinstance(first, dict):
        raise Refused("invalid", "user and actions are missing", "payload")
    action, (alert, _, epoch) = str(first.get("action_id")), str(first.get("value", "")).partition(":")
    if action not in ("alert.ack", "alert.resolve"):
        return None
    if (
        not (alert.isascii() and alert.isdecimal() and epoch.isascii() and epoch.isdecimal())
        or len(alert + epoch) > 18
    ):
        raise Refused("invalid", "the button's value is not alert:episode", "payload.actions[0].value")
    team = payload.get("team")
    return Press(
        str((team or {}).get("id", "") if isinstance(team, dict) else "")[:40], str(user.get("id", ""))[:40],
        str(user.get("username") or user.get("name") or "")[:80], action, int(alert), int(epoch),
        str(payload.get("response_url") or "")[:500],
    )  # fmt: skip


def press(one: Press, *, now: datetime) -> str:
    """Do it; the words for who pressed, empty where the message itself will show what happened."""
    linked = SlackPerson.objects.select_related("user").filter(team=one.team, person=one.person).first()
    if linked is None:
        return f"Link your account first, then press again: {link_for(one)}"
    if not linked.user.is_active or not linked.user.has_perm(MAY):
        return "You may not do that in the portal."
    alert = Alert.objects.filter(pk=one.alert).first()
    if alert is None:
        return "There is no such alert any more."
    act = Act(
        by=linked.user.get_full_name() or linked.user.get_username(), at=now, via="slack", actor=linked.user
    )
    do = services.acknowledge if one.action == "alert.ack" else services.resolve
    try:
        changed = do(alert=alert, act=act, epoch=one.epoch)
    except services.StaleEpoch:
        return "It was triggered again since that message: look at the newer one."
    except ValidationError as refusal:
        return str(refusal.messages[0])
    return "" if changed else "Somebody was faster: nothing changed."


def link_for(one: Press) -> str:
    """Where somebody who is signed in confirms that this Slack account is theirs; good for a quarter of an hour."""
    token = signing.dumps([one.team, one.person, one.name], salt=SALT)
    return f"{settings.SITE_URL}{reverse('alerts:slack_link')}?token={token}"


def account_of(token: str) -> tuple[str, str, str]:
    """Team, person and name of a link. Refused when it was changed or is too old."""
    try:
        team, person, name = signing.loads(token, salt=SALT, max_age=LINK_LIFE_S)
    except (signing.BadSignature, ValueError) as error:
        raise Refused(
            "invalid", "this link is too old or incomplete: press the button again", "token"
        ) from error
    return str(team), str(person), str(name)
