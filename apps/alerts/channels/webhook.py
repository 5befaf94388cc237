"""A signed webhook after Standard Webhooks: the receiver can check who sent it, and recognise a repetition."""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any

import orjson

from apps.alerts.channels import Receipt, register
from apps.alerts.channels.http import post

PREFIX = "whsec_"


def key_bytes(secret: str) -> bytes:
    """`whsec_` and base64 as the standard writes it; any other text is taken as it is."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signature(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """v1,<base64 HMAC-SHA256 of id.timestamp.body>"""
    signed = b".".join((identifier.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key_bytes(secret), signed, hashlib.sha256)).decode()


def signatures(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """One signature for each `whsec_` secret, apart by spaces: while two are set, the receiver may hold either."""
    several = secret.split()
    keys = several if all(one.startswith(PREFIX) for one in several) else [secret]
    return " ".join(signature(one, identifier, timestamp, body) for one in keys)


def message(page: Any) -> dict[str, Any]:
    """The body: type, time, and the facts of the alert."""
    kind = "alert.page" if page.escalation_id else "alert.notice"
    facts = {k: v for k, v in page.data.items() if k != "plain"}
    return {
        "type": kind,
        "timestamp": page.created_at.isoformat(),
        "data": {"subject": page.subject, "body": page.body, "to": page.target_label, **facts},
    }


class Webhook:
    """Somebody's own receiver."""

    kind = "webhook"
    label = "Signed webhook"
    personal = False
    address_is = "where to POST, https://…"
    secret_is = "the signing secret, whsec_…, two of them while it changes, or any text"  # noqa: S105 - words
    bundle_s = 0

    def send(self, page: Any, secret: str) -> Receipt:
        """POST the facts, signed. `webhook-id` is the page's key: the same over all tries."""
        body, now = orjson.dumps(message(page)), int(time.time())
        headers = {"webhook-id": page.key, "webhook-timestamp": str(now)}
        if secret:
            headers["webhook-signature"] = signatures(secret, page.key, now, body)
        return post(page.address, body, headers)


register(Webhook())
