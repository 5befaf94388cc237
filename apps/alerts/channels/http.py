"""What Slack and webhooks share: one guarded POST, and its answer as a receipt."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from apps.alerts import delivery
from apps.alerts.channels import Receipt
from apps.core import outbound


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
    """POST JSON. An answer that did not come after the request was written is ambiguous: it may have arrived."""
    return post_for(url, body, headers)[0]


def post_for(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[Receipt, bytes]:
    """The same, with the body of the answer."""
    try:
        answer = outbound.request(
            "POST", url, body=body, timeout_s=delivery.SEND_TIMEOUT_S,
            headers={"Content-Type": "application/json", **headers},
        )  # fmt: skip
    except outbound.OutboundRefused as refusal:
        return Receipt(delivery.PERMANENT, str(refusal)[:300]), b""
    except outbound.Unreachable as error:
        return Receipt(delivery.AMBIGUOUS if error.sent else delivery.TRANSIENT, str(error)[:300]), b""
    outcome = delivery.outcome_of_status(answer.status)
    said = (
        "" if outcome == delivery.SENT else f"{answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
    )
    number = answer.headers.get("x-slack-req-id") or answer.headers.get("x-request-id") or ""
    wait_s = retry_after(answer.headers.get("retry-after", ""))
    return Receipt(outcome, said, answer.status, number[:200], wait_s), answer.body


def retry_after(text: str) -> int | None:
    """Seconds, from a number of them or from an HTTP date; None for anything else."""
    if text.strip().isdecimal():
        return min(int(text.strip()[:9]), 1_000_000)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, int((at - datetime.now(UTC)).total_seconds()))
