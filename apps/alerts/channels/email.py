"""E-mail: plain text with a simple HTML beside it, over SMTP or, without a server, kept as files under var/mail."""

import re
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.message import BadHeaderError
from django.utils.html import format_html, linebreaks

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register

TOTAL_S = 25  # below half the lease, though every single answer is in time


def one_line(text: str, limit: int = 200) -> str:
    """Fit for a header: line breaks and control characters become spaces (Django refuses them, losing the mail)."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text).strip()[:limit]


def message(page: Any, connection: Any = None) -> EmailMultiAlternatives:
    """The mail of a page. Message-ID is made of the page's key: a repetition is the same message to a mail program."""
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    headers = {
        "Message-ID": f"<{page.key}@{host}>",
        "X-Portal-Key": page.key,
        "Auto-Submitted": "auto-generated",
    }
    if page.alert_id:
        headers["References"] = f"<alert-{page.alert_id}@{host}>"
    mail = EmailMultiAlternatives(
        one_line(page.subject), page.body, settings.DEFAULT_FROM_EMAIL, [one_line(page.address, 254)],
        headers=headers, connection=connection,
    )  # fmt: skip
    if not page.data.get("plain"):
        text = linebreaks(page.body, autoescape=True)
        mail.attach_alternative(
            format_html("<html><body><h3>{}</h3>{}</body></html>", page.subject, text), "text/html"
        )
    return mail


@contextmanager
def _cut_off(connection: Any) -> Iterator[None]:
    """End the conversation after TOTAL_S: time-outs count each answer anew, and a server may drip them."""

    def cut() -> None:
        sock = getattr(getattr(connection, "connection", None), "sock", None)
        with suppress(OSError):  # it may be over already
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _of_code(code: int, text: bytes | str, permanent: str) -> Receipt:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    outcome = permanent if code >= 500 else delivery.TRANSIENT
    return Receipt(outcome, f"{code} {said}"[:300], http_status=None)


def _refusal(error: smtplib.SMTPException) -> Receipt:
    """The class of what a server answered."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()), (550, b"refused"))
        return _of_code(code, text, delivery.PERMANENT)
    if isinstance(error, smtplib.SMTPDataError):
        return _of_code(error.smtp_code, error.smtp_error, delivery.BAD_MESSAGE)
    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return _of_code(400, error.smtp_error, delivery.TRANSIENT)
    if isinstance(error, smtplib.SMTPResponseException):  # sender or sign-in refused
        return _of_code(error.smtp_code, error.smtp_error, delivery.PERMANENT)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Receipt(delivery.PERMANENT, str(error)[:300])
    return Receipt(delivery.AMBIGUOUS, f"The connection broke off: {error}"[:300])


class Email:
    """Mail to a person, or to a list."""

    kind = "email"
    label = "E-mail"
    personal = True
    address_is = "an e-mail address"
    secret_is = ""
    bundle_s = 60

    def send(self, page: Any, secret: str) -> Receipt:
        """Hand the mail to the server. What fails before the message was handed over is known not to have arrived."""
        connection = get_connection()
        with _cut_off(connection):
            try:
                connection.open()
            except smtplib.SMTPException as error:
                return self._not_begun(error)
            except OSError as error:
                return Receipt(delivery.TRANSIENT, f"No mail server: {error}"[:300])
            return self._hand_over(page, connection)

    def _not_begun(self, error: smtplib.SMTPException) -> Receipt:
        found = _refusal(error)
        known = found.outcome != delivery.AMBIGUOUS
        return found if known else Receipt(delivery.TRANSIENT, found.error)

    def _hand_over(self, page: Any, connection: Any) -> Receipt:
        mail = message(page, connection)
        try:
            connection.send_messages([mail])
        except smtplib.SMTPException as error:
            return _refusal(error)
        except (BadHeaderError, UnicodeError) as error:
            return Receipt(delivery.BAD_MESSAGE, str(error)[:300])
        except OSError as error:
            return Receipt(delivery.AMBIGUOUS, str(error)[:300])
        finally:
            connection.close()
        return Receipt(delivery.SENT, provider_id=str(mail.extra_headers["Message-ID"])[:200])


register(Email())
