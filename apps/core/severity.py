"""One severity scale in code, the words that senders use for it, and the record scale on which the weights hang.

The brief writes severity in three ways (Critical, CRITICAL, SEV1); they meet here, at the edges, and nowhere else.
"""

from django.db.models import TextChoices

from apps.core.refusal import Refused


class Severity(TextChoices):
    """How loud it is: critical pages and mails at once; error mails and chats at once; warning chats; info waits."""

    CRITICAL = "critical", "Critical"
    ERROR = "error", "Error"
    WARNING = "warning", "Warning"
    INFO = "info", "Info"


class RecordSeverity(TextChoices):
    """The scale of error records; MTTF weights hang on it (5, 3, 1)."""

    CRITICAL = "Critical", "Critical"
    MAJOR = "Major", "Major"
    MINOR = "Minor", "Minor"

    @property
    def weight(self) -> int:
        """How much one failure of this severity counts in the weighted MTTF."""
        return WEIGHTS[self]


class UnknownSeverity(Refused):
    """A word that is on neither scale; the message names the allowed ones."""

    def __init__(self, field: str = "severity") -> None:
        super().__init__(
            "invalid_choice", f"not a severity; use one of {', '.join(RecordSeverity.values)}", field
        )


RANK = {Severity.CRITICAL: 1, Severity.ERROR: 2, Severity.WARNING: 3, Severity.INFO: 4}
WEIGHTS = {RecordSeverity.CRITICAL: 5, RecordSeverity.MAJOR: 3, RecordSeverity.MINOR: 1}
ALIASES = {
    "critical": Severity.CRITICAL, "sev1": Severity.CRITICAL, "sev-1": Severity.CRITICAL, "fatal": Severity.CRITICAL,
    "crit": Severity.CRITICAL, "emergency": Severity.CRITICAL, "p1": Severity.CRITICAL,
    "error": Severity.ERROR, "major": Severity.ERROR, "high": Severity.ERROR, "sev2": Severity.ERROR,
    "sev-2": Severity.ERROR, "err": Severity.ERROR, "p2": Severity.ERROR,
    "warning": Severity.WARNING, "warn": Severity.WARNING, "minor": Severity.WARNING, "medium": Severity.WARNING,
    "moderate": Severity.WARNING, "sev3": Severity.WARNING, "sev-3": Severity.WARNING, "p3": Severity.WARNING,
    "info": Severity.INFO, "low": Severity.INFO, "sev4": Severity.INFO, "sev-4": Severity.INFO, "debug": Severity.INFO,
    "notice": Severity.INFO, "log": Severity.INFO, "p4": Severity.INFO,
}  # fmt: skip
_RECORD = {
    Severity.CRITICAL: RecordSeverity.CRITICAL,
    Severity.ERROR: RecordSeverity.MAJOR,
    Severity.WARNING: RecordSeverity.MINOR,
    Severity.INFO: RecordSeverity.MINOR,
}
_SCALE = {
    RecordSeverity.CRITICAL: Severity.CRITICAL,
    RecordSeverity.MAJOR: Severity.ERROR,
    RecordSeverity.MINOR: Severity.WARNING,
}


def severity_of(word: object) -> Severity | None:
    """The scale's value of any alias, in any case; None for an unknown word and for what is no word."""
    return ALIASES.get(word.strip().lower()) if isinstance(word, str) else None


def parse_severity(word: object, field: str = "severity") -> Severity:
    """As severity_of, but raises UnknownSeverity for a door to answer with."""
    severity = severity_of(word)
    if severity is None:
        raise UnknownSeverity(field)
    return severity


def record_severity(severity: Severity) -> RecordSeverity:
    """critical → Critical, error → Major, warning and info → Minor."""
    return _RECORD[severity]


def scale_severity(severity: RecordSeverity) -> Severity:
    """Critical → critical, Major → error, Minor → warning."""
    return _SCALE[severity]
