"""Whom to page, and when: policies and their steps."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.alerts.models.targets import Channel
from apps.core.severity import Severity
from apps.projects.models import Team

User = settings.AUTH_USER_MODEL


class EscalationPolicy(models.Model):
    """Who is paged, after which waits, how often again; and who if nobody could be reached."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    repeat_count = models.PositiveSmallIntegerField(
        default=1, validators=[MaxValueValidator(20)], help_text="Further rounds after the first."
    )
    repeat_wait_s = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(30)], verbose_name="wait before a further round (seconds)"
    )
    fallback_user = models.ForeignKey(
        User, models.PROTECT, related_name="+", help_text="Paged at the end if no step reached anybody."
    )
    ack_expiry_min = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(5), MaxValueValidator(10_080)],
        verbose_name="acknowledgement expires after (minutes)",
        help_text="An alert that is acknowledged but not resolved by then pages anew. Empty: never.",
    )  # fmt: skip
    is_default = models.BooleanField(
        default=False, help_text="Pages for incidents that were opened by hand, and for the built-in rules."
    )
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "escalation policies"
        constraints = (
            models.UniqueConstraint(
                fields=("is_default",), name="alerts_policy_one_default", condition=Q(is_default=True),
                violation_error_message="Another policy is the default; take the mark from it first.",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.name


class EscalationStep(models.Model):
    """One step of a policy: wait, then page whom its kind says; a gate pages nobody and guards what follows."""

    class Kind(models.TextChoices):
        """Whom the step pages."""

        PEOPLE = "people", "People"
        TEAM = "team", "Team"
        SCHEDULE = "schedule", "On call by schedule"
        SCHEDULE_NEXT = "schedule_next", "Next on schedule"
        ROUND_ROBIN = "round_robin", "One of these people in turn"
        CHANNEL = "channel", "Channel"
        WEBHOOK = "webhook", "Signed web hook"
        GATE = "gate", "Gate: run what follows only at these times"

    class Urgency(models.TextChoices):
        """How a step pages, whatever the alert's severity."""

        HIGH = "high", "High"
        LOW = "low", "Low"

    policy = models.ForeignKey(EscalationPolicy, models.CASCADE, related_name="steps")
    order = models.PositiveSmallIntegerField(default=1)
    wait_before_s = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(86_400)], verbose_name="wait before (seconds)"
    )
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.PEOPLE)
    users: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(User, blank=True, related_name="+")
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="+")
    schedule = models.ForeignKey(
        "alerts.Schedule", models.PROTECT, null=True, blank=True, related_name="steps"
    )
    channel = models.ForeignKey(Channel, models.PROTECT, null=True, blank=True, related_name="+")
    urgency = models.CharField(
        max_length=4, choices=Urgency, blank=True, help_text="Empty: by the severity of the alert."
    )
    skip_if_empty = models.BooleanField(
        default=True, verbose_name="skip if nobody", help_text="Go on at once when the step pages nobody."
    )
    require_ack = models.CharField(
        max_length=3, choices=(("any", "Anybody"), ("all", "Everybody whom the step pages")), default="any",
        verbose_name="acknowledged by",
        help_text="Everybody: it fires until the last of them has acknowledged; who has is not paged again.",
    )  # fmt: skip
    turn = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often its round robin began."
    )
    gate_zone = models.CharField(max_length=64, default="UTC", verbose_name="time zone")
    gate_weekdays = models.JSONField(default=list, blank=True, verbose_name="weekdays")
    gate_from = models.TimeField(null=True, blank=True, verbose_name="from")
    gate_until = models.TimeField(null=True, blank=True, verbose_name="until")
    gate_holidays = models.CharField(
        max_length=2, blank=True, verbose_name="shut on holidays of", help_text="Country code, such as DE."
    )
    gate_severity = models.CharField(
        max_length=8, choices=Severity.choices, blank=True, verbose_name="severity at least"
    )
    gate_skips = models.PositiveSmallIntegerField(
        default=0, verbose_name="guards how many steps", help_text="0: all that follow in the round."
    )

    class Meta:
        ordering = ("policy", "order", "id")

    def __str__(self) -> str:
        return f"{self.policy} step {self.order}"
