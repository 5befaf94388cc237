"""What applications do, as counters by minute, hour and day; of single things only what pages show or retries need.

Pages and rules read rollups alone. Every rollup is written by the drain in the transaction of what it counts, so its
latest row is current. A user is the first 128 bits of the keyed hash of who it was: enough to count apart.
"""

from django.db import models
from django.db.models import Q

from apps.core.distinct import SAMPLE_END
from apps.core.severity import RecordSeverity
from apps.projects.models import Component, Project


class TrackedEvent(models.Model):
    """One named thing that an application told of. Partitioned by day over its id, which begins with its own time."""

    id = models.UUIDField(primary_key=True, editable=False)
    event_id = models.CharField(max_length=32, help_text="32 hex digits.")
    project = models.ForeignKey(Project, models.DO_NOTHING, db_index=False, db_constraint=False)
    component = models.ForeignKey(Component, models.DO_NOTHING, db_index=False, db_constraint=False)
    name = models.CharField(max_length=80)
    severity = models.CharField(max_length=8, choices=RecordSeverity, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    user_hash = models.CharField(max_length=64, blank=True)
    duration_ms = models.FloatField(null=True)
    data = models.JSONField(default=dict, help_text="As sent, without secrets and without who it was.")
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        indexes = (
            # The latest of one name: the list that a figure leads to.
            models.Index(fields=("name", "-id"), name="telemetry_tracked_latest"),
        )

    def __str__(self) -> str:
        return self.name


class TrackedHour(models.Model):
    """Tracked events by hour, name and what the known ones are told apart by; "" where a name has no such field.

    `subject` is the feature, trial type, endpoint, or hashed address; `provider` the AI provider; `reason` the
    reason or message; `outcome` converted or expired, hit or miss, fallback or none. Beyond a number of distinct
    rows per project, name and hour the rest is counted under "(other)".
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    name = models.CharField(max_length=80)
    subject = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=16, blank=True)
    severity = models.CharField(max_length=8, choices=RecordSeverity, blank=True)
    n = models.BigIntegerField()
    timed = models.BigIntegerField(default=0, help_text="Of them with a duration.")
    duration_sum_ms = models.FloatField(default=0)
    durations = models.JSONField(default=dict, help_text="Log buckets of milliseconds: index → count.")

    class Meta:
        default_permissions = ()
        constraints = (
            # Read as: one name over a range. Also what the drain finds its row by.
            models.UniqueConstraint(
                fields=(
                    "name", "hour", "project", "component", "subject", "provider", "reason", "outcome", "severity",
                ),
                name="telemetry_trackedhour_key",
            ),
        )  # fmt: skip
        indexes = (models.Index(fields=("hour",), name="telemetry_trackedhour_hour"),)  # retention


class TrackedMinute(models.Model):
    """Tracked events that rules ask for, by minute: all names that mean a failure."""

    id = models.BigAutoField(primary_key=True)
    minute = models.DateTimeField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    name = models.CharField(max_length=80)
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("minute", "project", "component", "name"), name="telemetry_trackedminute_key"
            ),
        )


class TrackedUserDay(models.Model):
    """Who did what on which day. Distinct users since an hour are the distinct users whose `last_hour` is not older.

    That is exact for every range that ends now, by whole hours.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False, db_constraint=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False, db_constraint=False)
    name = models.CharField(max_length=80)
    subject = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=8, choices=RecordSeverity, blank=True)
    user_key = models.UUIDField()
    last_hour = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("name", "day", "project", "component", "subject", "severity", "user_key"),
                name="telemetry_trackeduserday_key",
                include=("last_hour",),
            ),
        )
        indexes = (
            models.Index(fields=("day",), name="telemetry_trackeduserday_day"),  # retention
            # The sixteenth of the users that apps.core.distinct looks at where there are too many.
            models.Index(
                fields=("name", "day", "project", "component", "subject", "severity", "user_key"),
                include=("last_hour",),
                condition=Q(user_key__lt=SAMPLE_END),
                name="telemetry_trackeduserday_some",
            ),
        )


class ActiveUserDay(models.Model):
    """Everybody heard of on a day, through events, errors, requests or sessions: what shares of users are shares of."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False, db_constraint=False)
    user_key = models.UUIDField()
    last_hour = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project", "user_key"),
                name="telemetry_activeuserday_key",
                include=("last_hour",),
            ),
        )
        indexes = (
            # The sixteenth of the users that apps.core.distinct looks at where there are too many.
            models.Index(
                fields=("day", "project", "user_key"),
                include=("last_hour",),
                condition=Q(user_key__lt=SAMPLE_END),
                name="telemetry_activeuserday_some",
            ),
        )


class RequestKind(models.TextChoices):
    """What a transaction was. Rates and latencies of services are those of requests alone."""

    REQUEST = "request", "Request"
    PAGE = "page", "Page in a browser"
    TASK = "task", "Background task"
    OTHER = "other", "Other"


class RequestCount(models.Model):
    """Requests of one endpoint in a span of time; the three tables below differ in that span alone.

    `n` counts those whose outcome is known and `failed` those of them that ended with 5xx or like it; `timed` counts
    those with a duration, which are more where durations are reported by themselves.
    """

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    kind = models.CharField(max_length=8, choices=RequestKind)
    endpoint = models.CharField(max_length=200)
    device = models.CharField(max_length=8, blank=True, help_text="mobile, desktop or unknown.")
    n = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    timed = models.BigIntegerField(default=0)
    duration_sum_ms = models.FloatField(default=0)
    duration_max_ms = models.FloatField(default=0)
    durations = models.JSONField(default=dict, help_text="Log buckets of milliseconds: index → count.")

    class Meta:
        abstract = True
        default_permissions = ()


class RequestMinute(RequestCount):
    """By minute: what rules and the last hours' charts read."""

    minute = models.DateTimeField()

    class Meta(RequestCount.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("minute", "project", "component", "kind", "endpoint", "device"),
                name="telemetry_requestminute_key",
            ),
        )


class RequestHour(RequestCount):
    """By hour: charts of days."""

    hour = models.DateTimeField()

    class Meta(RequestCount.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "project", "component", "kind", "endpoint", "device"),
                name="telemetry_requesthour_key",
            ),
        )


class RequestDay(RequestCount):
    """By day (UTC), the running one included: percentiles over weeks merge a handful of rows an endpoint."""

    day = models.DateField()

    class Meta(RequestCount.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project", "component", "kind", "endpoint", "device"),
                name="telemetry_requestday_key",
            ),
        )


class SeenReport(models.Model):
    """Ids of what was counted already, so that a retry of it is known. Partitioned by day, kept for four.

    Transactions, which leave no row of their own, and tracked events whose time cannot be used.
    """

    id = models.UUIDField(
        primary_key=True, editable=False, help_text="Its time, then project and id, hashed."
    )

    class Meta:
        default_permissions = ()


class SessionState(models.Model):
    """The latest that is known of one session that reports by itself, so that its next update supersedes it.

    Partitioned by day over its id, which begins with when the session started; kept for four days.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    seq = models.BigIntegerField()
    outcome = models.CharField(max_length=8)

    class Meta:
        default_permissions = ()


class SessionOutcome(models.TextChoices):
    """How a session ended, or stands. Errored: went on, but with errors. Each session is counted under one."""

    HEALTHY = "healthy", "Healthy"
    ERRORED = "errored", "With errors"
    ABNORMAL = "abnormal", "Ended abnormally"
    CRASHED = "crashed", "Crashed"


class SessionHour(models.Model):
    """Sessions by the hour in which they started. Crash-free rate = 1 − crashed ÷ all four together."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    release = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=64, blank=True)
    healthy = models.BigIntegerField(default=0)
    errored = models.BigIntegerField(default=0)
    abnormal = models.BigIntegerField(default=0)
    crashed = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "project", "release", "environment"), name="telemetry_sessionhour_key"
            ),
        )


class SessionUserDay(models.Model):
    """Users with sessions on a day, and whether one of them crashed: crash-free users."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False, db_constraint=False)
    release = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=64, blank=True)
    user_key = models.UUIDField()
    crashed = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project", "release", "environment", "user_key"),
                name="telemetry_sessionuserday_key",
                include=("crashed",),
            ),
        )
