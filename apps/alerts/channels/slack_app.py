"""Slack by an app of the workspace: a message with buttons, which is changed when somebody acts."""

from typing import Any

import orjson
from django.conf import settings

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register
from apps.alerts.channels.http import post_for
from apps.alerts.channels.slack import message

# Words of Slack's answers {"ok": false, "error": …}, which come with status 200.
_BUSY = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "service_unavailable",
    "fatal_error",
    "request_timeout",
}
_BAD = {
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_too_long",
    "no_text",
    "invalid_arguments",
    "too_many_attachments",
}


def buttons(page: Any) -> list[dict[str, Any]]:
    """Acknowledge and Resolve for one alert as of one episode; none on what speaks for several, or is over."""
    alert, epoch = page.data.get("alert"), page.data.get("epoch")
    if not page.escalation_id or not alert or page.data.get("transition"):
        return []
    value = f"{alert}:{epoch}"
    made = [
        {"type": "button", "action_id": action, "value": value, "text": {"type": "plain_text", "text": text}}
        for action, text in (("alert.ack", "Acknowledge"), ("alert.resolve", "Resolve"))
    ]
    made[0]["style"] = "primary"
    return [{"type": "actions", "block_id": f"alert:{value}", "elements": made}]


def call_of(page: Any) -> tuple[str, dict[str, Any]]:
    """The method and its arguments: a new message, or the change of the one that this page follows."""
    said = {**message(page), "channel": page.address, "unfurl_links": False}
    if "blocks" in said:
        said["blocks"] = [*said["blocks"], *buttons(page)]
    place, _, ts = str(page.data.get("replaces") or "").partition(":")
    if place and ts:
        return "chat.update", {**said, "channel": place, "ts": ts}
    return "chat.postMessage", said


class SlackApp:
    """A Slack channel where an app of ours is a member."""

    kind = "slack_app"
    label = "Slack app (with buttons)"
    personal = False
    address_is = "the channel's id, such as C024BE91L"
    secret_is = "the app's bot token, xoxb-…"  # noqa: S105 - words for a form, not a secret
    bundle_s = 5
    follows = True

    def send(self, page: Any, secret: str) -> Receipt:
        """One call; the receipt's provider id is channel:ts, by which the message is changed later."""
        if not secret:
            return Receipt(delivery.PERMANENT, "No bot token is set.")
        method, said = call_of(page)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json; charset=utf-8"}
        receipt, body = post_for(f"{settings.SLACK_API}/{method}", orjson.dumps(said), headers)
        return _judged(receipt, body) if receipt.outcome == delivery.SENT else receipt


def _judged(receipt: Receipt, body: bytes) -> Receipt:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Receipt(delivery.AMBIGUOUS, "Slack's answer is no JSON.", receipt.http_status)
    if answer.get("ok"):
        return Receipt(
            delivery.SENT, "", receipt.http_status, f"{answer.get('channel', '')}:{answer.get('ts', '')}"
        )
    word = str(answer.get("error", "unknown"))[:100]
    outcome = (
        delivery.TRANSIENT if word in _BUSY else delivery.BAD_MESSAGE if word in _BAD else delivery.PERMANENT
    )
    return Receipt(outcome, f"Slack: {word}", receipt.http_status, "", receipt.retry_after_s)


register(SlackApp())
