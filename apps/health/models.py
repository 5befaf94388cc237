"""Jobs that should report, and what they reported. Nothing here judges yet whether one is late."""

from django.db import models

from apps.health.check_ins import ERROR, IN_PROGRESS, OK
from apps.projects.models import Project


class CheckInStatus(models.TextChoices):
    """What a job says of one run."""

    IN_PROGRESS = IN_PROGRESS, "In progress"
    OK = OK, "OK"
    ERROR = ERROR, "Failed"


class Heartbeat(models.Model):
    """A job that reports its runs, in one environment. Made by its first report, with the schedule that it sends.

    Kept as facts alone: whether a run is missing or takes too long is not judged here yet.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="heartbeats", db_index=False)
    slug = models.CharField(max_length=64)
    environment = models.CharField(max_length=64)
    schedule = models.JSONField(
        default=dict,
        blank=True,
        help_text="As the job sends it: schedule, checkin_margin, max_runtime, timezone.",
    )
    last_status = models.CharField(max_length=12, choices=CheckInStatus)
    last_check_in_at = models.DateTimeField()
    last_ok_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-last_check_in_at",)
        constraints = (
            models.UniqueConstraint(fields=("project", "slug", "environment"), name="health_heartbeat_key"),
        )
        # The list: latest first.
        indexes = (models.Index(fields=("-last_check_in_at",), name="health_heartbeat_latest"),)

    def __str__(self) -> str:
        return f"{self.slug} ({self.environment})"


class CheckIn(models.Model):
    """One run of a job, from its first report to its end."""

    heartbeat = models.ForeignKey(Heartbeat, models.CASCADE, related_name="check_ins", db_index=False)
    check_in_id = models.CharField(max_length=32, help_text="The sender's id of the run, 32 hex digits.")
    status = models.CharField(max_length=12, choices=CheckInStatus)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    duration_s = models.FloatField(null=True, help_text="As the job says, else between its two reports.")

    class Meta:
        ordering = ("-started_at",)
        default_permissions = ("view",)
        verbose_name = "check-in"
        constraints = (
            models.UniqueConstraint(fields=("heartbeat", "check_in_id"), name="health_checkin_run"),
        )
        indexes = (
            # The runs of one job, newest first.
            models.Index(fields=("heartbeat", "-started_at"), name="health_checkin_latest"),
            # What is old enough to go.
            models.Index(fields=("started_at",), name="health_checkin_started"),
        )

    def __str__(self) -> str:
        return f"{self.heartbeat_id}: {self.status}"
