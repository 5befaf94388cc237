"""Writing the audit log. Every service of every room ends here, in the transaction of the change it reports."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import rfc8785
from django.db import models
from django.utils import timezone

from apps.audit.models import AuditEvent, Category, Outcome, Severity
from apps.core import context
from apps.core.ids import new_id
from apps.core.scrub import scrub

_SAFE_INTEGER = 2**53 - 1
REDACTED = "[redacted]"


def plain(value: Any) -> Any:
    """JSON that RFC 8785 can write: big integers, decimals, times and ids as text, the rest as it is."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date | Decimal | UUID):
        return str(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    return str(value)


def _actor(actor: Any) -> dict[str, str]:
    """Of a given user, else of the request or task at hand."""
    if actor is not None and getattr(actor, "pk", None) is not None:
        return {"actor_type": "user", "actor_id": str(actor.pk), "actor_label": actor.get_username()[:150]}
    held = context.current()
    return {
        "actor_type": held.actor_type,
        "actor_id": held.actor_id,
        "actor_label": held.actor_label[:150],
    }


def _resource(resource: Any) -> dict[str, str]:
    if resource is None:
        return {"resource_type": "", "resource_id": "", "resource_label": ""}
    if isinstance(resource, models.Model):
        kind = f"{resource._meta.app_label}.{resource._meta.object_name}"
        return {
            "resource_type": kind[:64],
            "resource_id": str(resource.pk)[:64],
            "resource_label": str(resource)[:200],
        }
    kind, identifier = resource
    return {
        "resource_type": kind,
        "resource_id": str(identifier)[:64],
        "resource_label": str(identifier)[:200],
    }


def record(
    action: str,
    *,
    resource: Any = None,
    category: str = Category.DATA,
    outcome: str = Outcome.SUCCESS,
    severity: str = Severity.INFO,
    actor: Any = None,
    details: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> AuditEvent:
    """Add one event. `action` is noun.verb; `resource` a row or (type, id); `changes` {field: [before, after]}.

    Actor, address, request id and agent come from the context in force. Details are scrubbed and cut.
    """
    now = timezone.now()
    held = context.current()
    facts: dict[str, Any] = {
        "id": new_id(now),
        "occurred_at": at or now,
        "received_at": now,
        "category": str(category),
        "action": action,
        "outcome": str(outcome),
        "severity": str(severity),
        **_actor(actor),
        **_resource(resource),
        "ip": held.address,
        "user_agent": held.user_agent,
        "request_id": held.request_id,
        "correlation_id": held.correlation_id,
        "task_id": held.task_id,
        "details": scrub(plain(details or {})),
        "changes": plain(changes or {}),
        "reason": reason,
        "schema": 1,
    }
    canonical = rfc8785.dumps(plain({k: v for k, v in facts.items() if v not in ("", None, {})})).decode()
    facts |= {"canonical": canonical, "event_hash": hashlib.sha256(canonical.encode()).digest()}
    return AuditEvent.objects.create(**facts)


def log_auth_event(
    *, user: str, action: str, outcome: str, details: Mapping[str, Any] | None = None
) -> AuditEvent:
    """A sign-in, sign-out or failure of one."""
    severity = Severity.INFO if outcome == Outcome.SUCCESS else Severity.MEDIUM
    return record(
        action,
        category=Category.AUTH,
        outcome=outcome,
        severity=severity,
        resource=("user", user),
        details=details,
    )


def log_data_event(
    *, user: Any, operation: str, resource: Any, outcome: str, details: Mapping[str, Any] | None = None
) -> AuditEvent:
    """An operation on data."""
    return record(operation, resource=resource, outcome=outcome, actor=user, details=details)


def log_security_event(
    *, action: str, resource: Any, outcome: str, details: Mapping[str, Any] | None = None
) -> AuditEvent:
    """Something that touches the portal's safety: lock-outs, refused rights, forged requests."""
    return record(
        action,
        category=Category.SECURITY,
        outcome=outcome,
        severity=Severity.HIGH,
        resource=resource,
        details=details,
    )


def snapshot(instance: models.Model, secret: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The stored values of a row by field name; secret ones only as set or empty."""
    values = {}
    for field in instance._meta.concrete_fields:
        value = getattr(instance, field.attname)
        hidden = field.name in secret or isinstance(field, models.BinaryField)
        values[field.name] = (REDACTED if value else "") if hidden else plain(value)
    return values


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{field: [before, after]} of what differs."""
    return {k: [before.get(k), v] for k, v in after.items() if before.get(k) != v}
