"""Who did what to what, when, from where: rows that are only ever added."""

from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Category(models.TextChoices):
    """What kind of act it is; retention and failure policy hang on it."""

    AUTH = "auth", "Sign-in"
    DATA = "data", "Data"
    SECURITY = "security", "Security"
    CONFIG = "config", "Configuration"
    ACCESS = "access", "Access"
    SYSTEM = "system", "System"


class Outcome(models.TextChoices):
    """How it ended."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    DENIED = "denied", "Denied"
    ERROR = "error", "Error"


class Severity(models.TextChoices):
    """How much an auditor should care."""

    INFO = "info", "Info"
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class AuditEvent(models.Model):
    """One act. Ids as text, no foreign key and no cascade: the row outlives what it speaks of.

    `canonical` holds the exact bytes that are hashed (RFC 8785 JSON of all that is above it); the columns beside it
    are derived from it for queries. The table is append-only by trigger and by grant, and cut by month over its id.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    category = models.CharField(max_length=8, choices=Category)
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=7, choices=Outcome)
    severity = models.CharField(max_length=8, choices=Severity)
    actor_type = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=150)
    on_behalf_of = models.CharField(max_length=150, blank=True)
    resource_type = models.CharField(max_length=64, blank=True)
    resource_id = models.CharField(max_length=64, blank=True)
    resource_label = models.CharField(max_length=200, blank=True)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=512, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    task_id = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict)
    changes = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    schema = models.PositiveSmallIntegerField(default=1)
    canonical = models.TextField()
    event_hash = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        indexes = (
            # The list, newest first, is the primary key. These serve its filters.
            models.Index(fields=("resource_type", "resource_id", "-id"), name="audit_event_resource"),
            models.Index(fields=("actor_id", "-id"), name="audit_event_actor"),
            models.Index(fields=("action", "-id"), name="audit_event_action"),
            GinIndex(fields=("details",), name="audit_event_details", opclasses=("jsonb_path_ops",)),
        )

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_label}"
