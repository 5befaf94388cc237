"""The rules that every installation begins with, and the policy that they page by.

The table is the truth for what is missing only: what people changed in the admin stays as they left it.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from apps.alerts.models import AlertRule, EscalationPolicy, EscalationStep
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.severity import Severity

# New groups look back further than the rest: a group is as old as its first event, and events come late.
RULES: dict[str, dict[str, Any]] = {
    "database-connections": {
        "name": "Database connection failures",
        "description": "An application could not reach its database within the last minute: an error or db_pool_error.",
        "condition": "databaseConnectionErrors >= 1", "window_s": 60, "severity": Severity.CRITICAL,
    },
    "authentication-down": {
        "name": "Authentication down",
        "description": "Five or more Major or Critical errors in Authentication within 5 minutes.",
        "condition": "seriousErrors >= 5", "component_name": "Authentication", "severity": Severity.CRITICAL,
    },
    "authentication-requests": {
        "name": "Authentication requests failing",
        "description": "Half or more of at least five requests to Authentication ended with 5xx within 5 minutes, or "
                       "the application itself reports auth_system_failure.",
        "condition": "systemFailureRate >= 50", "minimum": 5, "component_name": "Authentication",
        "severity": Severity.CRITICAL,
    },
    "payment-failures": {
        "name": "Payment failures",
        "description": "A Critical error in Payments, or a tracked stripe_checkout_error.",
        "condition": "criticalErrors >= 1", "component_name": "Payments", "severity": Severity.CRITICAL,
    },
    "cascade": {
        "name": "Cascading failure",
        "description": "Three or more endpoints of one project failing within 5 minutes, or cascade_failure_detected.",
        "condition": "failingEndpoints >= 3", "severity": Severity.CRITICAL,
    },
    "security-lockout": {
        "name": "Security lockout",
        "description": "Somebody was locked out after five failed sign-ins to the portal.",
        "condition": "lockouts >= 1", "severity": Severity.CRITICAL, "resolve_after_s": 900,
    },
    "application-lockout": {
        "name": "Security lockout in an application",
        "description": "An application locked somebody out after failed sign-ins: security_incident_lockout.",
        "condition": "applicationLockouts >= 1", "severity": Severity.CRITICAL, "resolve_after_s": 900,
    },
    "new-critical-group": {
        "name": "New Critical error group",
        "description": "A Critical failure that was never seen before.", "window_s": 900,
        "condition": "newGroups >= 1", "record_severity": "Critical", "severity": Severity.CRITICAL,
    },
    "new-major-group": {
        "name": "New Major error group",
        "description": "A Major failure that was never seen before.", "window_s": 900,
        "condition": "newGroups >= 1", "record_severity": "Major", "severity": Severity.ERROR,
    },
    "regressed-group": {
        "name": "Regressed error group",
        "description": "A failure that had been resolved is back.",
        "condition": "regressedGroups >= 1", "severity": Severity.ERROR,
    },
}  # fmt: skip


def default_policy() -> EscalationPolicy | None:
    """The policy for incidents opened by hand, and for built-in rules when they are made."""
    return EscalationPolicy.objects.filter(is_default=True).first()


@transaction.atomic
def ensure_builtin_rules(*, actor: Any = None) -> list[AlertRule]:
    """Make the built-in rules that are missing, and the first policy once there is somebody to page. Idempotent."""
    policy = default_policy() or _first_policy(actor)
    there = set(AlertRule.objects.exclude(code="").values_list("code", flat=True))
    made = [
        AlertRule(code=code, policy=policy, **facts) for code, facts in RULES.items() if code not in there
    ]
    AlertRule.objects.bulk_create(made, ignore_conflicts=True)
    for rule in made:
        audit.record(
            "alert_rule.create",
            resource=("alerts.AlertRule", rule.code),
            category=Category.CONFIG,
            actor=actor,
        )
    return made


def _first_policy(actor: Any) -> EscalationPolicy | None:
    """Page the first administrator at once and again; made only while there is no policy at all."""
    if EscalationPolicy.objects.exists():
        return None
    admin = get_user_model().objects.filter(is_active=True, is_superuser=True).order_by("pk").first()
    if admin is None:
        return None
    policy = EscalationPolicy.objects.create(
        name="Default", fallback_user=admin, is_default=True,
        description="Made at the start: pages the first administrator. Put your own people here.",
    )  # fmt: skip
    for order, wait_s in ((1, 0), (2, 300)):
        EscalationStep.objects.create(policy=policy, order=order, wait_before_s=wait_s).users.add(admin)
    # Rules that were made before anybody existed; rules that somebody emptied since do not come back to it.
    AlertRule.objects.exclude(code="").filter(policy=None).update(policy=policy)
    audit.record("escalation_policy.create", resource=policy, category=Category.CONFIG, actor=actor)
    return policy
