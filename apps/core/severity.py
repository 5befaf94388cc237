"""One scale of severity, the words that other systems use for it, and the record scale on which the weights hang.

The brief writes severity in three ways (Critical, CRITICAL, SEV1); they meet here, at the edges, and nowhere else.
"""

from enum import StrEnum

from apps.core.refusal import Refused


class Severity(StrEnum):
    """critical pages at once; error mails at once; warning goes to chat; info goes to digests."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class RecordSeverity(StrEnum):
    """The scale of error records. Its weights enter the weighted MTTF."""

    CRITICAL = "Critical"
    MAJOR = "Major"
    MINOR = "Minor"

    @property
    def weight(self) -> int:
        """How much one failure of this severity counts: 5, 3 or 1."""
        return WEIGHTS[self]


class UnknownSeverity(Refused):
    """A word that is on neither scale; the message names the allowed ones."""

    def __init__(self, field: str = "severity") -> None:
        super().__init__("invalid_choice", f"not a severity; use one of {', '.join(RecordSeverity)}", field)


WEIGHTS = {RecordSeverity.CRITICAL: 5, RecordSeverity.MAJOR: 3, RecordSeverity.MINOR: 1}

_WORDS = {
    Severity.CRITICAL: "critical crit fatal emergency emerg alert sev1 sev-1 p1",
    Severity.ERROR: "error err high major sev2 sev-2 p2",
    Severity.WARNING: "warning warn medium moderate minor sev3 sev-3 p3",
    Severity.INFO: "info information informational notice low debug trace log sev4 sev-4 p4",
}
ALIASES = {word: severity for severity, words in _WORDS.items() for word in words.split()}

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


def find_severity(word: object) -> Severity | None:
    """The severity that a word of any system means, whatever its case; None for what is no such word."""
    return ALIASES.get(word.strip().lower()) if isinstance(word, str) else None


def parse_severity(word: object, field: str = "severity") -> Severity:
    """As find_severity, but raises UnknownSeverity for the door to answer with."""
    severity = find_severity(word)
    if severity is None:
        raise UnknownSeverity(field)
    return severity


def record_severity(severity: Severity) -> RecordSeverity:
    """critical → Critical, error → Major, warning and info → Minor."""
    return _RECORD[severity]


def scale_severity(severity: RecordSeverity) -> Severity:
    """Critical → critical, Major → error, Minor → warning."""
    return _SCALE[severity]
