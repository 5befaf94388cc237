"""What fired: alerts, one open per deduplication key."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.alerts.models.policies import EscalationPolicy
from apps.alerts.models.rules import AlertRule
from apps.core.severity import Severity
from apps.incidents.models import Incident
from apps.projects.models import Component, Project

User = settings.AUTH_USER_MODEL


class AlertState(models.TextChoices):
    """Silenced is not a state: suppression stands beside it."""

    TRIGGERED = "triggered", "Firing"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


class AlertQuerySet(models.QuerySet["Alert"]):
    """The words that pages use."""

    def open(self) -> "AlertQuerySet":
        """Triggered or acknowledged."""
        return self.exclude(state=AlertState.RESOLVED)

    def real(self) -> "AlertQuerySet":
        """Without drills: what lists and figures count."""
        return self.filter(is_drill=False)


class Alert(models.Model):
    """One thing that is wrong now. The database allows one open alert per deduplication key.

    `epoch` numbers the paging episodes: each return to triggered adds one, and an acknowledgement names the
    one it saw.
    """

    dedup_key = models.CharField(max_length=255)
    rule = models.ForeignKey(AlertRule, models.SET_NULL, null=True, blank=True, related_name="alerts")
    integration = models.ForeignKey(
        "alerts.Integration", models.SET_NULL, null=True, blank=True, related_name="alerts",
        help_text="The door it came through, if another tool sent it.",
    )  # fmt: skip
    policy = models.ForeignKey(EscalationPolicy, models.SET_NULL, null=True, blank=True, related_name="+")
    project = models.ForeignKey(Project, models.CASCADE, related_name="alerts")
    component = models.ForeignKey(Component, models.SET_NULL, null=True, blank=True, related_name="alerts")
    incident = models.ForeignKey(Incident, models.SET_NULL, null=True, blank=True, related_name="alerts")
    title = models.CharField(max_length=200)
    sentence = models.TextField(blank=True, help_text="Why it fired, with the figure and the threshold.")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    state = models.CharField(max_length=12, choices=AlertState, default=AlertState.TRIGGERED)
    epoch = models.PositiveIntegerField(default=1)
    count = models.PositiveIntegerField(default=1, help_text="How often it was triggered while open.")
    value = models.FloatField(null=True)
    labels = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    triggered_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    acked_at = models.DateTimeField(null=True, blank=True)
    acked_by = models.CharField(max_length=150, blank=True)
    acked_via = models.CharField(max_length=16, blank=True)
    acked_user = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    returns_at = models.DateTimeField(
        null=True, blank=True, help_text="Acknowledged only until then: the end of a snooze, or its expiry."
    )
    snoozed = models.BooleanField(default=False, help_text="Whether somebody chose the time of its return.")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    resolved_via = models.CharField(max_length=16, blank=True)
    suppressed = models.BooleanField(
        default=False, editable=False,
        help_text="A reason is in force. Kept in this row since a claim must read it under the row's lock.",
    )  # fmt: skip
    backfilled = models.BooleanField(default=False, editable=False)
    is_drill = models.BooleanField(default=False, editable=False, help_text="A test of the way to people.")

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ("-triggered_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("dedup_key",), name="alerts_alert_one_open", condition=~Q(state="resolved")
            ),
        )
        indexes = (
            # Triage and GET /api/reliability/alerts: what is open.
            models.Index(fields=("-triggered_at",), name="alerts_alert_open", condition=~Q(state="resolved")),
            # The tick: acknowledged alerts that fire again.
            models.Index(
                fields=("returns_at",),
                name="alerts_alert_returns",
                condition=Q(state="acknowledged", returns_at__isnull=False),
            ),
            # The alerts of an incident.
            models.Index(fields=("incident", "-triggered_at"), name="alerts_alert_incident"),
        )
        permissions = (("acknowledge_alert", "Can acknowledge and resolve alerts"),)

    def __str__(self) -> str:
        return self.title

    @property
    def reasons_now(self) -> list[Any]:
        """Its AlertSuppression rows that are in force; lists prefetch `suppressions`."""
        return [row for row in self.suppressions.all() if row.lifted_at is None]
