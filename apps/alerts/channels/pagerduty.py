"""PagerDuty by Events v2. Its dedup_key makes at-least-once harmless: a repetition is the same event there."""

import hashlib
from typing import Any

import orjson
from django.conf import settings

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register
from apps.alerts.channels.http import post

MOST_BYTES, KEY_MAX, SUMMARY_MAX = 512 * 1024, 255, 1024
_SEVERITY = {"critical": "critical", "error": "error", "warning": "warning", "info": "info"}


def dedup_key(page: Any) -> str:
    """One for each paging episode of an alert."""
    key = f"rp:{page.data.get('alert') or page.key}:{page.data.get('epoch') or page.epoch}"
    return key if len(key) <= KEY_MAX else hashlib.sha256(key.encode()).hexdigest()


def event(page: Any, routing_key: str) -> dict[str, Any]:
    """Trigger for a page, acknowledge or resolve for what followed it; details that are too large are left out."""
    action = page.data.get("transition") or "trigger"
    made: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": dedup_key(page)}
    if action != "trigger":
        return made
    known = {k: v for k, v in page.data.items() if k not in ("plain", "then")}
    made["payload"] = {
        "summary": page.subject[:SUMMARY_MAX],
        "source": page.data.get("component") or page.data.get("project") or "reliability portal",
        "severity": _SEVERITY.get(str(page.data.get("severity")), "error"),
        "component": page.data.get("component") or "",
        "custom_details": known,
    }
    made["client"], made["client_url"] = "Reliability portal", page.data.get("url") or settings.SITE_URL
    if len(orjson.dumps(made)) > MOST_BYTES:
        made["payload"]["custom_details"] = {"error": "The details were larger than PagerDuty takes."}
    return made


class PagerDuty:
    """A service of PagerDuty."""

    kind = "pagerduty"
    label = "PagerDuty (Events v2)"
    personal = False
    address_is = ""
    secret_is = "the service's integration key, 32 characters"  # noqa: S105 - words for a form, not a secret
    bundle_s = 0
    follows = True

    def send(self, page: Any, secret: str) -> Receipt:
        """POST one event; 202 is its success."""
        if not secret:
            return Receipt(delivery.PERMANENT, "No integration key is set.")
        receipt = post(f"{settings.PAGERDUTY_EVENTS_API}/v2/enqueue", orjson.dumps(event(page, secret)), {})
        # It takes 120 events a minute, and says so by 429 without a time: their advice is half a minute.
        if receipt.http_status == 429 and receipt.retry_after_s is None:
            return Receipt(receipt.outcome, receipt.error, 429, receipt.provider_id, 30)
        return receipt


register(PagerDuty())
