"""SMS by Twilio: one POST for each message, and a look at what was sent before anything is sent twice.

Twilio takes no idempotency key. So a try that may have arrived is looked for by its tag first, and ValidityPeriod ends
a message that the network holds: a page ten hours late does harm.
"""

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from django.conf import settings
from django.core.exceptions import ValidationError

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register
from apps.alerts.channels.http import retry_after
from apps.core import outbound

VALID_S = 600
TEXT_MAX = 440  # three segments of 153 characters and the tag
# Twilio's own numbers for what another try cannot change: no such number, unreachable region, the person said STOP.
REFUSED_FOR_GOOD = {21211, 21214, 21217, 21408, 21610, 21612, 21614, 30003, 30005, 30006}
# One of these makes a message count 70 characters a segment instead of 160.
_PLAIN = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "...",
    "\u00a0": " ", "\u202f": " ", "`": "'", "\u2192": "->", "\u2265": ">=", "\u2264": "<=",
})  # fmt: skip


def check_number(text: str) -> None:
    """ValidationError unless it is a number as E.164 writes it, such as +4930123456."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise ValidationError("Write the number with its country, such as +4930123456.") from error
    if not phonenumbers.is_valid_number(number):
        raise ValidationError(f"{text[:30]} is no telephone number.")
    if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) != text:
        wanted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        raise ValidationError(f"Write it as {wanted}.")


def tag_of(page: Any) -> str:
    """What a reply names and a repetition is known by, such as #41-2."""
    return f"#{page.alert_id}-{page.epoch}" if page.alert_id else f"#{page.pk}"


def text_of(page: Any) -> str:
    """Subject, reason, where to act, how to reply."""
    sentence = str(page.data.get("sentence") or "")
    url = str(page.data.get("answer_url") or page.data.get("url") or "")
    head = f"{page.subject}\n{sentence}".translate(_PLAIN).strip()
    reply = f"Reply ACK {tag_of(page)[1:]}" if page.escalation_id else ""
    tail = "\n".join(part for part in (url, reply, tag_of(page)) if part)
    return f"{head[: max(TEXT_MAX - len(tail) - 1, 40)]}\n{tail}"


def _of_answer(answer: outbound.Answer) -> Receipt:
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = {}
    said = said if isinstance(said, dict) else {}
    outcome = delivery.outcome_of_status(answer.status)
    if said.get("code") in REFUSED_FOR_GOOD:
        outcome = delivery.PERMANENT
    error = (
        "" if outcome == delivery.SENT else f"{said.get('code', answer.status)}: {said.get('message', '')}"
    )
    wait = retry_after(answer.headers.get("retry-after", ""))
    return Receipt(outcome, error[:300], answer.status, str(said.get("sid", ""))[:200], wait)


class Sms:
    """A telephone."""

    kind = "sms"
    label = "SMS (Twilio)"
    personal = True
    address_is = "a telephone number with its country, such as +4930123456"
    secret_is = ""
    bundle_s = 60

    def send(self, page: Any, secret: str) -> Receipt:
        """Ask for what may be there already, then POST."""
        if not (settings.TWILIO_ACCOUNT_SID and settings.TWILIO_AUTH_TOKEN and settings.TWILIO_FROM):
            return Receipt(
                delivery.PERMANENT, "SMS is not set up here: TWILIO_ACCOUNT_SID, _AUTH_TOKEN, _FROM."
            )
        try:
            return (page.attempts > 1 and self._sent_before(page)) or self._post(page)
        except outbound.OutboundRefused as refusal:
            return Receipt(delivery.PERMANENT, str(refusal)[:300])
        except outbound.Unreachable as error:
            return Receipt(delivery.AMBIGUOUS if error.sent else delivery.TRANSIENT, str(error)[:300])

    def _post(self, page: Any) -> Receipt:
        sender = settings.TWILIO_FROM
        named = "MessagingServiceSid" if sender.startswith("MG") else "From"
        form = {"To": page.address, named: sender, "Body": text_of(page), "ValidityPeriod": VALID_S}
        if settings.SITE_URL.startswith("https://"):
            callback = f"{settings.SITE_URL}/api/integrations/twilio/status/?{urlencode({'page': page.key})}"
            form["StatusCallback"] = callback
        return _of_answer(self._ask("POST", "", urlencode(form).encode()))

    def _sent_before(self, page: Any) -> Receipt | None:
        """The message of an earlier try, if it is there; raises Unreachable where that cannot be known."""
        query = urlencode({"To": page.address, "DateSent>": f"{page.created_at.astimezone(UTC):%Y-%m-%d}"})
        answer = self._ask("GET", f"?{query}", b"")
        if answer.status != 200:
            raise outbound.Unreachable(
                f"Twilio answered {answer.status} when asked for earlier tries", sent=False
            )
        found = orjson.loads(answer.body).get("messages", [])
        mine = [one for one in found if _is_mine(one, page)]
        return Receipt(delivery.SENT, "", 200, str(mine[0].get("sid", ""))[:200]) if mine else None

    def _ask(self, method: str, query: str, body: bytes) -> outbound.Answer:
        account = settings.TWILIO_ACCOUNT_SID
        signed_in = base64.b64encode(f"{account}:{settings.TWILIO_AUTH_TOKEN}".encode()).decode()
        headers = {"Authorization": f"Basic {signed_in}"}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = f"{settings.TWILIO_API}/2010-04-01/Accounts/{account}/Messages.json{query}"
        return outbound.request(
            method, url, headers=headers, body=body, timeout_s=delivery.SEND_TIMEOUT_S, cap=2**20
        )


def _is_mine(message: Any, page: Any) -> bool:
    """It ends with the page's tag, was made after the page, and has not failed."""
    try:
        made = parsedate_to_datetime(str(message.get("date_created")))
    except (TypeError, ValueError):
        made = datetime.now(UTC)
    body = str(message.get("body", ""))
    failed = message.get("status") in ("failed", "undelivered", "canceled")
    return not failed and body.endswith(tag_of(page)) and made.timestamp() >= int(page.created_at.timestamp())


register(Sms())
