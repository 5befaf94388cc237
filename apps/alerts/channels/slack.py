"""Slack by an incoming webhook: one-way, its address is the secret."""

from typing import Any

import orjson
from django.conf import settings

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register
from apps.alerts.channels.http import post

HEADER_MAX, TEXT_MAX, FIELD_MAX = 150, 3000, 2000


def escape(text: str) -> str:
    """Slack's own rule: these three and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(page: Any) -> dict[str, Any]:
    """Block Kit, with a plain text for notifications; after a refusal as a bad message, the plain text alone."""
    text = escape(f"{page.subject}\n{page.body}")[:TEXT_MAX]
    if page.data.get("plain"):
        return {"text": text}
    header = {"type": "header", "text": {"type": "plain_text", "text": page.subject[:HEADER_MAX]}}
    blocks: list[dict[str, Any]] = [header]
    if sentence := page.data.get("sentence") or page.body:
        blocks.append({"type": "section", "text": {"type": "plain_text", "text": str(sentence)[:TEXT_MAX]}})
    facts = [(name, page.data.get(name.lower())) for name in ("Component", "Project", "Severity", "Incident")]
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{escape(str(value))}"[:FIELD_MAX]}
        for name, value in facts
        if value
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    if url := page.data.get("answer_url") or page.data.get("url"):
        words = "Acknowledge, escalate" if page.data.get("answer_url") else "Open in the portal"
        link = f"<{escape(str(url))}|{words}>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    # A repetition after a lost answer shows the same tag: people can tell that it is no second failure.
    blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": page.key[:FIELD_MAX]}]})
    return {"text": escape(page.subject), "blocks": blocks}


class Slack:
    """A Slack channel."""

    kind = "slack"
    label = "Slack webhook"
    personal = False
    address_is = ""
    secret_is = "the webhook's address, https://hooks.slack.com/…"  # noqa: S105 - words for a form, not a secret
    bundle_s = 5

    def send(self, page: Any, secret: str) -> Receipt:
        """POST the message; Slack answers the text ok."""
        url = secret or settings.SLACK_WEBHOOK_URL
        if not url:
            return Receipt(delivery.PERMANENT, "No webhook address is set.")
        return post(url, orjson.dumps(message(page)), {})


register(Slack())
