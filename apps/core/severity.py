"""One severity scale in code; the words that senders use are aliases at the edges."""

from django.db.models import TextChoices


class Severity(TextChoices):
    """How loud it is. critical pages and mails at once; error mails and goes to Slack; warning to Slack; info to digests."""

    CRITICAL = "critical", "Critical"
    ERROR = "error", "Error"
    WARNING = "warning", "Warning"
    INFO = "info", "Info"


RANK = {Severity.CRITICAL: 1, Severity.ERROR: 2, Severity.WARNING: 3, Severity.INFO: 4}
ALIASES = {
    "critical": Severity.CRITICAL, "sev1": Severity.CRITICAL, "fatal": Severity.CRITICAL, "p1": Severity.CRITICAL,
    "error": Severity.ERROR, "major": Severity.ERROR, "high": Severity.ERROR, "sev2": Severity.ERROR,
    "warning": Severity.WARNING, "warn": Severity.WARNING, "minor": Severity.WARNING, "medium": Severity.WARNING,
    "sev3": Severity.WARNING,
    "info": Severity.INFO, "low": Severity.INFO, "sev4": Severity.INFO, "debug": Severity.INFO,
}  # fmt: skip


def severity_of(word: str) -> Severity | None:
    """The scale's value of any alias, in any case; None for an unknown word."""
    return ALIASES.get(word.strip().lower())
