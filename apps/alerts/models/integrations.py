"""Doors for other tools: integrations, their keys, what each last said; and the links that answer pages."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from apps.alerts.models.alerts import Alert
from apps.alerts.models.pages import Page
from apps.alerts.models.policies import EscalationPolicy
from apps.alerts.models.targets import Channel
from apps.core.severity import Severity
from apps.projects.models import Component, Project

User = settings.AUTH_USER_MODEL


def door_kinds() -> list[tuple[str, str]]:
    """Choices from the registry of doors, as a callable, so that a new kind makes no migration."""
    from apps.alerts import doors

    return [(kind, door.label) for kind, door in doors.registry.items()]


class Integration(models.Model):
    """Another tool that may open and end alerts here: in whose words, of which project, and whom that pages."""

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=16, choices=door_kinds)
    project = models.ForeignKey(Project, models.CASCADE, related_name="integrations")
    component = models.ForeignKey(
        Component, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="default component",
        help_text="Takes what names no component of the project.",
    )  # fmt: skip
    policy = models.ForeignKey(
        EscalationPolicy, models.PROTECT, null=True, blank=True, related_name="integrations",
        help_text="Empty: its alerts are listed and page nobody.",
    )  # fmt: skip
    pages_from = models.CharField(
        max_length=8, choices=Severity.choices, default=Severity.ERROR,
        help_text="What is less severe is listed and pages nobody.",
    )  # fmt: skip
    opens_incident = models.BooleanField(default=True)
    default_severity = models.CharField(
        max_length=8, choices=Severity.choices, default=Severity.ERROR,
        help_text="For alerts that name none, or none that is known.",
    )  # fmt: skip
    severity_map = models.JSONField(
        default=dict, blank=True,
        help_text='The sender\'s words, such as {"page": "critical", "ticket": "warning"}; usual words need no entry.',
    )  # fmt: skip
    reopen_window_s = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(86_400)], verbose_name="reopen within (seconds)",
        help_text="Fires again within this time of its end: the same alert again. 0: always a new one.",
    )  # fmt: skip
    dedup_prefix = models.CharField(
        max_length=40, blank=True, verbose_name="deduplication prefix",
        validators=[RegexValidator(r"^[a-z0-9]+(-[a-z0-9]+)*$", "Lower-case letters, digits, single hyphens.")],
        help_text="Integrations of one prefix speak of the same alerts, such as two peers. Empty: of its own.",
    )  # fmt: skip
    mapping = models.JSONField(
        default=dict, blank=True, help_text="For JSON: where in the body each part stands."
    )
    limit_per_minute = models.PositiveIntegerField(
        default=120, validators=[MinValueValidator(1), MaxValueValidator(1200)],
        help_text="Requests of one key in any 60 seconds.",
    )  # fmt: skip
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_received_at = models.DateTimeField(null=True, editable=False)
    received = models.BigIntegerField(default=0, editable=False, help_text="Requests with a right key.")
    rejected = models.BigIntegerField(default=0, editable=False)
    throttled = models.BigIntegerField(default=0, editable=False)
    last_rejected_at = models.DateTimeField(null=True, editable=False)
    last_rejection = models.CharField(max_length=300, blank=True, editable=False)
    truncated = models.PositiveIntegerField(
        default=0, editable=False, help_text="Alerts that the last sender left out of its message."
    )
    truncated_at = models.DateTimeField(null=True, editable=False)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def prefix(self) -> str:
        """Of its deduplication keys; no rule's and no incident's key begins so."""
        return f"in:{self.dedup_prefix or self.pk}:"


class IntegrationKeyQuerySet(models.QuerySet["IntegrationKey"]):
    """Words for the question that the doors ask."""

    def usable(self, now: datetime) -> "IntegrationKeyQuerySet":
        """Neither revoked nor past its end."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class IntegrationKey(models.Model):
    """The secret that a sender shows. Only its SHA-256 is stored; two may overlap while one is rotated."""

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="keys")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    prefix = models.CharField(max_length=8, editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    recent = ArrayField(
        models.BigIntegerField(), default=list, editable=False
    )  # milliseconds since 1970, oldest first

    objects = IntegrationKeyQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.integration}: {self.prefix}…"


class Occurrence(models.Model):
    """The newest occurrence of one failure that a sender spoke of: what tells a replay from news."""

    key = models.CharField(max_length=255, unique=True, help_text="The alert's deduplication key.")
    integration = models.ForeignKey(Integration, models.CASCADE, related_name="occurrences")
    alert = models.ForeignKey(Alert, models.SET_NULL, null=True, related_name="occurrences")
    starts_at = models.DateTimeField(help_text="The sender's time.")
    ended_at = models.DateTimeField(null=True, help_text="The sender's time.")
    heard_at = models.DateTimeField(help_text="When the sender last spoke of it.")
    closed_at = models.DateTimeField(null=True, help_text="When its end was heard.")
    source_url = models.CharField(max_length=1000, blank=True)

    class Meta:
        default_permissions = ()
        # What has been over for long is forgotten.
        indexes = (models.Index(fields=("heard_at",), name="alerts_occurrence_heard"),)


class InboundAnswer(models.Model):
    """What a sender was answered under an idempotency key of its own, so that a retry changes nothing."""

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="answers", db_index=False)
    key = models.CharField(max_length=255)
    body_digest = models.BinaryField(max_length=32)
    answer = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("integration", "key"), name="alerts_inboundanswer_key"),
        )
        # What is older than a day is forgotten.
        indexes = (models.Index(fields=("created_at",), name="alerts_inboundanswer_age"),)


class AnswerLink(models.Model):
    """The link in a page: one person (or place), one alert, one episode, one act. Only its SHA-256 is stored."""

    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    page = models.ForeignKey(Page, models.CASCADE, related_name="answer_links")
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="answer_links")
    epoch = models.PositiveIntegerField()
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    channel = models.ForeignKey(Channel, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_for = models.CharField(max_length=16, blank=True)

    class Meta:
        default_permissions = ()
        # What ended long ago is forgotten.
        indexes = (models.Index(fields=("expires_at",), name="alerts_answerlink_ends"),)
