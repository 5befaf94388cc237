"""Drills: pages that test the way to people, end to end."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.alerts.models.alerts import Alert
from apps.alerts.models.policies import EscalationPolicy

User = settings.AUTH_USER_MODEL


class DrillPlan(models.Model):
    """A drill a week: a policy or a person is paged at this time of this zone."""

    class Weekday(models.IntegerChoices):
        """As ISO counts."""

        MONDAY = 1, "Monday"
        TUESDAY = 2, "Tuesday"
        WEDNESDAY = 3, "Wednesday"
        THURSDAY = 4, "Thursday"
        FRIDAY = 5, "Friday"
        SATURDAY = 6, "Saturday"
        SUNDAY = 7, "Sunday"

    policy = models.ForeignKey(
        EscalationPolicy, models.CASCADE, null=True, blank=True, related_name="+",
        help_text="All its steps are paged until somebody acknowledges.",
    )  # fmt: skip
    user = models.ForeignKey(
        User, models.CASCADE, null=True, blank=True, related_name="+", verbose_name="person",
        help_text="Instead of a policy: one person, by their own ways.",
    )  # fmt: skip
    weekday = models.PositiveSmallIntegerField(choices=Weekday, default=Weekday.TUESDAY)
    at = models.TimeField(help_text="Local time in the zone.")
    zone = models.CharField(max_length=64, default="UTC", help_text="As Europe/Berlin.")
    enabled = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("weekday", "at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(policy__isnull=False, user__isnull=True) | Q(policy__isnull=True, user__isnull=False),
                name="alerts_drillplan_policy_or_person",
                violation_error_message="Choose a policy or a person, not both.",
            ),
        )  # fmt: skip
        # The tick: what is due.
        indexes = (models.Index(fields=("next_at",), name="alerts_drillplan_due", condition=Q(enabled=True)),)

    def __str__(self) -> str:
        return f"{self.policy or self.user}, {self.get_weekday_display()} {self.at:%H:%M} {self.zone}"


class Drill(models.Model):
    """One drill and how it ended. Its alert is marked as a drill: it opens no incident and counts nowhere."""

    class State(models.TextChoices):
        """A page that went out and nobody answered is another failure than one that did not go out."""

        RUNNING = "running", "Running"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        UNANSWERED = "unanswered", "Nobody acknowledged"
        UNSENT = "unsent", "No page went out"

    of = models.CharField(max_length=150, help_text="The policy or the person.")
    alert = models.OneToOneField(Alert, models.SET_NULL, null=True, related_name="drill")
    plan = models.ForeignKey(DrillPlan, models.SET_NULL, null=True, related_name="drills")
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="Until then somebody should have acknowledged.")
    ended_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=State, default=State.RUNNING)
    acked_by = models.CharField(max_length=150, blank=True)
    acked_at = models.DateTimeField(null=True)
    sent = models.PositiveSmallIntegerField(default=0, help_text="Pages that went out.")
    failed = models.PositiveSmallIntegerField(default=0, help_text="Pages that could not be sent.")

    class Meta:
        ordering = ("-started_at", "-id")
        default_permissions = ("view",)
        permissions = (("start_drill", "Can start a drill"),)
        indexes = (
            # The tick: which have ended.
            models.Index(fields=("ends_at",), name="alerts_drill_running", condition=Q(state="running")),
        )

    def __str__(self) -> str:
        return f"Drill of {self.of}"
