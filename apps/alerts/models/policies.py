"""Whom to page, and when: policies and their steps."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.alerts.models.targets import Channel
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
    """One step of a policy: wait, then page these people, this team, whoever has this schedule, or this channel."""

    class Kind(models.TextChoices):
        """Whom the step pages."""

        PEOPLE = "people", "People"
        TEAM = "team", "Team"
        SCHEDULE = "schedule", "On call by schedule"
        SCHEDULE_NEXT = "schedule_next", "Next on schedule"
        CHANNEL = "channel", "Channel"

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

    class Meta:
        ordering = ("policy", "order", "id")

    def __str__(self) -> str:
        return f"{self.policy} step {self.order}"
