"""The tracked events that pages and rules know: their fields, and what each is told apart by.

Any other name is accepted as well, with whatever fields it has.
"""

from dataclasses import dataclass, field

from apps.core.severity import RecordSeverity
from apps.projects.routing import CLIENT_COMPONENT

CRITICAL, MAJOR, MINOR = RecordSeverity.CRITICAL, RecordSeverity.MAJOR, RecordSeverity.MINOR
TEXT, NUMBER, WHOLE, TRUTH, ANY = "text", "number", "whole", "truth", "any"

# Counted by the minute for rules, beside all names that hold this word.
ERROR = "error"
API_RESPONSE_TIME = "api_response_time"
DB_POOL_ERROR = "db_pool_error"
AUTH_SYSTEM_FAILURE = "auth_system_failure"
STRIPE_CHECKOUT_ERROR = "stripe_checkout_error"
CASCADE_FAILURE_DETECTED = "cascade_failure_detected"
SECURITY_INCIDENT_LOCKOUT = "security_incident_lockout"
PAGING = (
    DB_POOL_ERROR, AUTH_SYSTEM_FAILURE, STRIPE_CHECKOUT_ERROR, CASCADE_FAILURE_DETECTED, SECURITY_INCIDENT_LOCKOUT,
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """Fields of one event: name → kind, `required` of them must be there.

    `subject`, `provider` and `reason` name the field that becomes that dimension; `outcome` names a truth field and
    the words for true and false (the second also where it is missing, unless that is ""). `component` is where the
    event belongs whatever its sender says; `default_component` only where nothing places it.
    """

    fields: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    subject: str = ""
    provider: str = ""
    reason: str = ""
    outcome: tuple[str, str, str] | None = None
    hashed: tuple[str, ...] = ()
    severity: str = ""
    component: str = ""
    default_component: str = ""


EVENTS: dict[str, Known] = {
    "feature_used": Known(
        {"feature": TEXT, "duration_seconds": NUMBER}, ("feature",), subject="feature",
    ),
    "trial_conversion": Known(
        {"trial_type": TEXT, "converted": TRUTH}, ("trial_type",), subject="trial_type",
        outcome=("converted", "converted", "expired"),
    ),
    API_RESPONSE_TIME: Known(
        {"endpoint": TEXT, "response_time_ms": NUMBER, "status": WHOLE}, ("endpoint", "response_time_ms"),
        subject="endpoint",
    ),
    "cache_performance": Known(
        {"key": TEXT, "hit": TRUTH, "ttl": NUMBER}, ("hit",), subject="key", outcome=("hit", "hit", "miss"),
    ),
    "ai_failure": Known(
        {"feature": TEXT, "ai_provider": TEXT, "reason": TEXT, "fallback_used": TRUTH}, ("feature", "ai_provider"),
        subject="feature", provider="ai_provider", reason="reason", outcome=("fallback_used", "fallback", "none"),
        severity=MAJOR,
    ),
    "slow_endpoint": Known(
        {"endpoint": TEXT, "duration_ms": NUMBER}, ("endpoint", "duration_ms"), subject="endpoint", severity=MINOR,
    ),
    "session_stabilization_failure": Known({"attempts": WHOLE, "reason": TEXT}, reason="reason", severity=MAJOR),
    "beta_register_rate_limited": Known({"ip": TEXT}, ("ip",), subject="ip", hashed=("ip",), severity=MINOR),
    "formspree_failure": Known({"message": TEXT}, reason="message", severity=MAJOR),
    "data_consistency_error": Known(
        {"expected": ANY, "actual": ANY}, ("expected", "actual"), severity=MAJOR,
    ),
    "client_error": Known(
        {"message": TEXT, "context": ANY, "userAgent": TEXT}, ("message",), reason="message", severity=MINOR,
        default_component=CLIENT_COMPONENT,
    ),
    DB_POOL_ERROR: Known(severity=CRITICAL),
    AUTH_SYSTEM_FAILURE: Known(severity=CRITICAL, component="Authentication"),
    STRIPE_CHECKOUT_ERROR: Known(severity=CRITICAL, component="Payments"),
    CASCADE_FAILURE_DETECTED: Known(severity=CRITICAL),
    SECURITY_INCIDENT_LOCKOUT: Known(
        {"email": TEXT, "ip": TEXT}, subject="ip", hashed=("ip", "email"), severity=CRITICAL,
        component="Authentication",
    ),
}  # fmt: skip


def is_error(name: str) -> bool:
    """What the analyses call an error: the name says so."""
    return ERROR in name.lower()


def severity_of(name: str) -> str:
    """Of an event whose sender gave none; "" for what is no failure."""
    known = EVENTS.get(name)
    if known is not None:
        return known.severity
    return MINOR if is_error(name) else ""
