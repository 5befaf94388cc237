"""The watchdog's own ways out: mail and a webhook from the settings, straight to their servers."""

import smtplib
from time import monotonic

import orjson
from django.conf import settings
from django.core.mail import EmailMessage

from apps.alerts.watchdog import judging
from apps.core import outbound

_TIMEOUT_S = 10


def ways() -> int:
    """How many ways the settings name."""
    return bool(settings.WATCHDOG_EMAIL) + bool(settings.WATCHDOG_URL)


def tell(subject: str, lines: list[str]) -> list[str]:
    """Send by every way; the failures in words. One way that fails does not keep the other from being tried."""
    failures = []
    if settings.WATCHDOG_EMAIL:
        failures.append(_mail(subject, lines))
    if settings.WATCHDOG_URL:
        failures.append(_post(subject, lines))
    return [failure for failure in failures if failure]


def _mail(subject: str, lines: list[str]) -> str:
    body = "\n".join([*lines, "", f"Pages may be late or missing until this is mended. {settings.SITE_URL}"])
    mail = EmailMessage(
        f"[WATCHDOG] {subject}", body, settings.DEFAULT_FROM_EMAIL, settings.WATCHDOG_EMAIL,
        headers={"Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    try:
        mail.send()
    except (OSError, smtplib.SMTPException) as error:
        return f"Mail: {type(error).__name__}: {error}"
    return ""


def _post(subject: str, lines: list[str]) -> str:
    """`text` is what chat hooks show; `wrong` is for programs."""
    text = f"[WATCHDOG] {subject}. {' '.join(lines)}"
    said = {"text": text, "subject": subject, "wrong": lines, "portal": settings.SITE_URL}
    return _ask("POST", settings.WATCHDOG_URL, orjson.dumps(said))


def ping() -> str:
    """The outgoing sign of life; why it failed, or nothing."""
    return _ask("GET", settings.DEADMAN_URL, b"")


def _ask(method: str, url: str, body: bytes) -> str:
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        answer = outbound.request(method, url, body=body, headers=headers, timeout_s=_TIMEOUT_S)
    except (outbound.OutboundRefused, outbound.Unreachable) as error:
        return f"Webhook: {error}"
    return "" if 200 <= answer.status < 300 else f"Webhook: answered {answer.status}"


class Silence:
    """A database that does not answer: told by the process that notices, which alone can remember that it did."""

    def __init__(self) -> None:
        """All is well so far."""
        self._since: float | None = None
        self._told: float | None = None

    def goes_on(self, error: Exception) -> bool:
        """Tell after a minute of it, and again every 15 min. True when it told."""
        now = monotonic()
        self._since = self._since or now
        told_lately = self._told is not None and now - self._told < judging.REPORT_EVERY_S
        if now - self._since <= judging.OVERDUE_S or told_lately:
            return False
        self._told = now
        tell("The pager cannot reach its database", [f"{type(error).__name__}: nothing is decided or sent."])
        return True

    def over(self) -> None:
        """It answers again."""
        self._since = None
