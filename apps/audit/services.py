"""Writing the audit log. Every service of every room ends here, in the transaction of the change it reports."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import rfc8785
from django.db import models
from django.utils import timezone

from apps.audit.models import AuditEvent, Category, Outcome, Severity
from apps.core import context
from apps.core.ids import new_id
from apps.core.scrub import scrub, scrub_text
from apps.core.text import storable

_SAFE_INTEGER = 2**53 - 1
_MAX_DETAILS = 16 * 1024
REDACTED = "[redacted]"


def plain(value: Any) -> Any:
    """JSON that RFC 8785 can write and PostgreSQL can hold: what is neither text, truth value, list, mapping nor a
    number that every reader takes for the same becomes text. Naive times are read as UTC."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, int | float) and abs(value) <= _SAFE_INTEGER:  # NaN is not
        return value
    return storable(str(value))


def _actor(actor: Any) -> dict[str, str]:
    """Of the request or task at hand; of the given user where that is somebody else.

    A request made with a token stays the token's, though services are handed its user.
    """
    held = context.current()
    given = actor is not None and getattr(actor, "pk", None) is not None
    by_token = held.actor_type == "api_key" and given and held.actor_label == actor.get_username()
    if given and not by_token:
        return {"actor_type": "user", "actor_id": str(actor.pk), "actor_label": actor.get_username()[:150]}
    return {
        "actor_type": held.actor_type,
        "actor_id": held.actor_id[:64],
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

    Actor, address, request id and agent come from the context in force. Details, changes and reason are scrubbed, and
    details beyond 16 KiB are cut.
    """
    now = timezone.now()
    held = context.current()
    facts = {
        "id": new_id(now),
        "occurred_at": at or now,
        "received_at": now,
        "category": category,
        "action": action,
        "outcome": outcome,
        "severity": severity,
        **_actor(actor),
        **_resource(resource),
        "ip": held.address,
        "user_agent": held.user_agent,
        "request_id": held.request_id,
        "correlation_id": held.correlation_id,
        "task_id": held.task_id,
        "details": _cut(scrub(plain(details or {}))),
        "changes": _scrub_sides(plain(changes or {})),
        "reason": scrub_text(reason),
        "schema": 1,
    }
    written = plain(facts)
    canonical = rfc8785.dumps({k: v for k, v in written.items() if v not in ("", None, {})}).decode()
    times = {name: facts[name] for name in ("id", "occurred_at", "received_at")}
    digest = hashlib.sha256(canonical.encode()).digest()
    return AuditEvent.objects.create(**written | times, canonical=canonical, event_hash=digest)


def _cut(details: dict[str, Any]) -> dict[str, Any]:
    """Details beyond 16 KiB: their size and how they begin."""
    text = rfc8785.dumps(details)
    if len(text) <= _MAX_DETAILS:
        return details
    return {"_cut_bytes": len(text), "begins": text[: _MAX_DETAILS // 2].decode("utf-8", "ignore")}


def _scrub_sides(changes: dict[str, Any]) -> dict[str, Any]:
    """Each side by itself, so that what is removed is still a change from something to something."""
    return {
        field: [one for side in sides for one in scrub({field: side}).values()]
        for field, sides in changes.items()
    }


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


def links(instance: models.Model) -> dict[str, list[str]]:
    """The names of what a row is linked with, by many-to-many field. One query each."""
    return {
        field.name: sorted(str(other) for other in getattr(instance, field.name).all())
        for field in instance._meta.many_to_many
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{field: [before, after]} of what differs."""
    return {k: [before.get(k), v] for k, v in after.items() if before.get(k) != v}
