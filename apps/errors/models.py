"""Failures as they were reported: events, the groups they fall into, and counters that pages and rules read."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, HashIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from apps.core.distinct import SAMPLE_END
from apps.core.packed import PackedJSONField
from apps.core.severity import RecordSeverity
from apps.projects.models import Component, Project


class GroupStatus(models.TextChoices):
    """What people decided about a group. "In Progress" is unresolved with an assignee."""

    UNRESOLVED = "unresolved", "Unresolved"
    RESOLVED = "resolved", "Resolved"
    IGNORED = "ignored", "Ignored"


class ErrorGroup(models.Model):
    """All events with one fingerprint in one project: the thing that people take, resolve and ignore."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="error_groups", db_index=False)
    component = models.ForeignKey(Component, models.PROTECT, related_name="error_groups")
    fingerprint = models.CharField(max_length=64)
    title = models.CharField(max_length=300)
    culprit = models.CharField(max_length=200, blank=True)
    error_type = models.CharField(max_length=80, help_text="Its class, such as Validation Error.")
    exception_type = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=8, choices=RecordSeverity, help_text="Of its latest event.")
    status = models.CharField(max_length=10, choices=GroupStatus, default=GroupStatus.UNRESOLVED)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="error_groups"
    )
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    first_release = models.CharField(max_length=200, blank=True)
    last_release = models.CharField(max_length=200, blank=True)
    event_count = models.BigIntegerField(default=0)
    user_count = models.BigIntegerField(default=0, help_text="Distinct hashed users.")
    last_event_id = models.UUIDField(null=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    resolved_in_release = models.CharField(max_length=200, blank=True)
    resolution_notes = models.TextField(blank=True)
    regressed_at = models.DateTimeField(null=True, blank=True)
    times_regressed = models.PositiveIntegerField(default=0)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("-last_seen",)
        constraints = (
            models.UniqueConstraint(fields=("project", "fingerprint"), name="errors_group_fingerprint"),
        )
        indexes = (
            # The list: open groups, newest first, of all projects or of one.
            models.Index(fields=("status", "-last_seen"), name="errors_group_status"),
            models.Index(fields=("project", "status", "-last_seen"), name="errors_group_project"),
            # Rules: groups new or regressed since a moment.
            models.Index(fields=("first_seen",), name="errors_group_new"),
            models.Index(
                fields=("regressed_at",),
                name="errors_group_regressed",
                condition=Q(regressed_at__isnull=False),
            ),
            # The search field of the list.
            GinIndex(OpClass(Upper("title"), name="gin_trgm_ops"), name="errors_group_title"),
        )
        permissions = (("resolve_errorgroup", "Can take, resolve, ignore and reopen error groups"),)

    def __str__(self) -> str:
        return self.title

    @property
    def time_to_resolve_minutes(self) -> int | None:
        """First seen to resolved, in minutes; None while it is open."""
        if self.resolved_at is None:
            return None
        return int((self.resolved_at - self.first_seen).total_seconds() // 60)

    @property
    def resolution_status(self) -> str:
        """The record's words: Open, In Progress, Resolved; Ignored stands beside them."""
        if self.status == GroupStatus.UNRESOLVED:
            return "In Progress" if self.assignee_id else "Open"
        return GroupStatus(self.status).label


class ErrorEvent(models.Model):
    """One failure. Partitioned by day over its id, which begins with the event's own milliseconds.

    Counts of pages and rules never come from here but from the rollups below.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    event_id = models.CharField(max_length=32, help_text="The sender's id, 32 hex digits.")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    project = models.ForeignKey(Project, models.DO_NOTHING, db_index=False, db_constraint=False)
    component = models.ForeignKey(Component, models.DO_NOTHING, db_index=False, db_constraint=False)
    group = models.ForeignKey(
        ErrorGroup, models.DO_NOTHING, related_name="events", db_index=False, db_constraint=False
    )
    severity = models.CharField(max_length=8, choices=RecordSeverity)
    error_type = models.CharField(max_length=80)
    message = models.TextField(blank=True)
    user_hash = models.CharField(max_length=64, blank=True)
    user_impact = models.BooleanField(default=True)
    release = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=64, blank=True)
    endpoint = models.CharField(max_length=200, blank=True)
    device_type = models.CharField(max_length=8, blank=True)
    source = models.CharField(max_length=8, help_text="sentry, server, client or demo.")
    tags = models.JSONField(default=dict)
    payload = PackedJSONField(default=dict)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        indexes = (
            # The events of a group, newest first: its page, and previous and next.
            models.Index(fields=("group", "-id"), name="errors_event_group"),
            # By the sender's id: a user's report names its event so, and says nothing of when it happened.
            HashIndex(fields=("event_id",), name="errors_event_sender_id"),
        )

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message[:80]}"


class SeenEvent(models.Model):
    """Ids of events whose own time cannot be used, so that a retry of them is known; kept 48 h."""

    id = models.UUIDField(primary_key=True, editable=False, help_text="Project and event id, hashed.")
    seen_at = models.DateTimeField(db_index=True)
    stored_as = models.UUIDField()

    class Meta:
        default_permissions = ()


class ErrorMinute(models.Model):
    """Errors per minute, component, severity: what rules and charts read. Written with the events they count."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    minute = models.DateTimeField()
    severity = models.CharField(max_length=8, choices=RecordSeverity)
    n = models.BigIntegerField()
    impacting = models.BigIntegerField(help_text="Of them with user impact.")

    class Meta:
        default_permissions = ()
        constraints = (
            # Read as: the last minutes, narrowed to a component. The minute stands first for that reason.
            models.UniqueConstraint(
                fields=("minute", "component", "severity"), name="errors_minute_component_severity"
            ),
        )


class EndpointMinute(models.Model):
    """Errors per minute and endpoint: distinct failing endpoints of the last minutes, for the cascade rule."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, null=True, db_index=False)
    minute = models.DateTimeField()
    endpoint = models.CharField(max_length=200)
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("minute", "component", "endpoint"), name="errors_endpoint_minute"
            ),
        )


class GroupHour(models.Model):
    """Events per group and hour: spark lines and "seen in the last day"."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(ErrorGroup, models.CASCADE, related_name="hours", db_index=False)
    hour = models.DateTimeField()
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("group", "hour"), name="errors_grouphour_group_hour"),)
        indexes = (models.Index(fields=("hour",), name="errors_grouphour_hour"),)


class GroupUser(models.Model):
    """Which hashed users a group has hit: what `user_count` counts."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(ErrorGroup, models.CASCADE, db_index=False)
    user_hash = models.CharField(max_length=64)
    last_seen = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("group", "user_hash"), name="errors_groupuser_user"),)
        # The rule on affected users: whom anything has hit in the last minutes, of all that it ever hit.
        indexes = (models.Index(fields=("last_seen",), name="errors_groupuser_seen"),)


class GroupTag(models.Model):
    """How often each value of a tag stood on a group's events. Rare values beyond a cap are folded into "other"."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(ErrorGroup, models.CASCADE, related_name="tag_counts", db_index=False)
    key = models.CharField(max_length=64)
    value = models.CharField(max_length=200)
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("group", "key", "value"), name="errors_grouptag_value"),
        )


class ErrorHour(models.Model):
    """Errors per hour, component and severity: pages about days and weeks."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    hour = models.DateTimeField()
    severity = models.CharField(max_length=8, choices=RecordSeverity)
    n = models.BigIntegerField()
    impacting = models.BigIntegerField(help_text="Of them with user impact.")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "component", "severity"), name="errors_hour_component_severity"
            ),
        )


class EndpointHour(models.Model):
    """Errors per hour, component and endpoint: the numerator beside telemetry's requests."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    hour = models.DateTimeField()
    endpoint = models.CharField(max_length=200)
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("hour", "component", "endpoint"), name="errors_endpoint_hour"),
        )


class EndpointDay(models.Model):
    """Errors per day (UTC), component and endpoint, the running day included: failing endpoints of weeks."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False)
    day = models.DateField()
    endpoint = models.CharField(max_length=200)
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("day", "component", "endpoint"), name="errors_endpoint_day"),
        )


class GroupDay(models.Model):
    """Events per group and day (UTC), the running one included: the top errors of weeks."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(ErrorGroup, models.CASCADE, related_name="days", db_index=False)
    day = models.DateField()
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("day", "group"), name="errors_groupday_group"),)
        # The range of one group; and a group that is deleted takes its days along.
        indexes = (models.Index(fields=("group", "day"), name="errors_groupday_range"),)


class HitUserDay(models.Model):
    """Whom errors hit on which day. Distinct users since an hour are the distinct users with `last_hour` not older:
    exact for every range that ends now, by whole hours. A user is the first 128 bits of the keyed hash.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    project = models.ForeignKey(Project, models.CASCADE, db_index=False, db_constraint=False)
    component = models.ForeignKey(Component, models.CASCADE, db_index=False, db_constraint=False)
    user_key = models.UUIDField()
    last_hour = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project", "component", "user_key"),
                name="errors_hituserday_key",
                include=("last_hour",),
            ),
        )
        indexes = (
            # The sixteenth of the users that apps.core.distinct looks at where there are too many.
            models.Index(
                fields=("day", "project", "component", "user_key"),
                include=("last_hour",),
                condition=Q(user_key__lt=SAMPLE_END),
                name="errors_hituserday_sample",
            ),
        )


class UserReport(models.Model):
    """What somebody said about a failure. Who it was is not kept, but as a hash that counts people apart."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="user_reports", db_index=False)
    report_id = models.CharField(max_length=32, help_text="The sender's id, 32 hex digits.")
    about = models.CharField(max_length=32, blank=True, help_text="Id of the event that it is about.")
    group = models.ForeignKey(
        ErrorGroup, models.SET_NULL, null=True, related_name="user_reports", db_index=False,
        help_text="That of the event, once it is known.",
    )  # fmt: skip
    message = models.TextField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    user_hash = models.CharField(max_length=64, blank=True)
    url = models.CharField(max_length=500, blank=True)
    release = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-received_at",)
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(fields=("project", "report_id"), name="errors_userreport_report"),
        )
        indexes = (
            # The reports of a group, newest first; a deleted group leaves them behind.
            models.Index(fields=("group", "-received_at"), name="errors_userreport_group"),
            # The list, and what is old enough to go.
            models.Index(fields=("-received_at",), name="errors_userreport_latest"),
            # Those whose event may still come.
            models.Index(
                fields=("received_at",), name="errors_userreport_waiting",
                condition=Q(group__isnull=True) & ~Q(about=""),
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.message[:80]


class Attachment(models.Model):
    """A small text file that came beside an event, scrubbed."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="attachments", db_index=False)
    event_id = models.CharField(max_length=32, help_text="The sender's id of its event, 32 hex digits.")
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of what was sent.")
    name = models.CharField(max_length=200)
    received_at = models.DateTimeField()
    size = models.PositiveIntegerField(help_text="Bytes, as sent.")
    text = models.TextField()

    class Meta:
        ordering = ("pk",)
        default_permissions = ("view",)
        constraints = (
            # The files of an event; the same file again is the same row.
            models.UniqueConstraint(
                fields=("project", "event_id", "name", "digest"), name="errors_attachment_file"
            ),
        )
        # What is old enough to go.
        indexes = (models.Index(fields=("received_at",), name="errors_attachment_received"),)

    def __str__(self) -> str:
        return self.name
