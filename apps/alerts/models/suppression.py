"""What keeps an alert from paging, beside its state: what people wrote, and every reason that is or was in force."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.alerts.models.alerts import Alert

User = settings.AUTH_USER_MODEL


class Repeats(models.TextChoices):
    """How often a maintenance window comes."""

    ONCE = "once", "Does not repeat"
    WEEKLY = "weekly", "Every week"
    MONTHLY = "monthly", "Every month"


class SuppressionQuerySet(models.QuerySet["Suppression"]):
    """The question that each evaluation asks."""

    def alive(self) -> "SuppressionQuerySet":
        """Not withdrawn; whether they are in force now is for their windows to say."""
        return self.filter(ended_at=None)


class Suppression(models.Model):
    """What somebody wrote: a silence, a maintenance window, an inhibition rule, or a rule that merges alerts."""

    class Kind(models.TextChoices):
        """Silences and windows mute by time, inhibition and merging by other alerts that fire."""

        SILENCE = "silence", "Silence"
        MAINTENANCE = "maintenance", "Maintenance window"
        INHIBITION = "inhibition", "Inhibition rule"
        MERGE = "parent", "Merge rule"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.SILENCE)
    matchers = models.TextField(
        max_length=2000,
        help_text='The alerts that do not page, such as {component="Payments", severity=~"warning|info"}. Labels: '
        "project, component, severity, rule, source, title, and the alert's own.",
    )
    source_matchers = models.TextField(
        max_length=2000, blank=True, help_text="The alerts that mute the others while they are open."
    )
    equal = models.CharField(
        max_length=300, blank=True, help_text="Labels that must be equal on both, separated by commas."
    )
    reason = models.CharField(max_length=300, help_text="Why; shown beside every alert that it mutes.")
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: without an end.")
    until_resolved = models.BooleanField(
        default=False, help_text="It ends when the last alert that it muted is resolved."
    )
    repeats = models.CharField(max_length=8, choices=Repeats, default=Repeats.ONCE)
    windows = models.TextField(
        max_length=1000, blank=True,
        help_text="For windows that repeat. Weekly: Sun 02:00-04:00; Fri 22:00 - Mon 06:00. "
        "Monthly: 1st Sun 02:00-04:00; last Fri 22:00-02:00; 15 01:00-03:00.",
    )  # fmt: skip
    zone = models.CharField(max_length=64, default="UTC", help_text="Whose clock the windows are written on.")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="+")
    created_by_name = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, editable=False, help_text="Ended by hand, or over.")
    ended_by = models.CharField(max_length=150, blank=True, editable=False)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        ordering = (F("ended_at").desc(nulls_first=True), "-starts_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="alerts_suppression_has_length",
                violation_error_message="It ends before it begins, or has no length.",
            ),
        )  # fmt: skip
        # Every evaluation reads what is not withdrawn; what is over stays for the record.
        indexes = (
            models.Index(fields=("starts_at",), name="alerts_suppression_alive", condition=Q(ended_at=None)),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}: {self.reason}"[:120]


class AlertSuppression(models.Model):
    """One reason why an alert does not page, from `since` on; in force while `lifted_at` is empty."""

    class Kind(models.TextChoices):
        """The first four are of people, the others of the engine; a parent may be either."""

        SILENCE = "silence", "Silenced"
        MAINTENANCE = "maintenance", "Maintenance"
        INHIBITION = "inhibition", "Inhibited"
        PARENT = "parent", "Under another alert"
        STORM = "storm", "Storm"
        FLAPPING = "flapping", "Flapping"

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="suppressions")
    suppression = models.ForeignKey(Suppression, models.SET_NULL, null=True, related_name="muted")
    parent = models.ForeignKey(Alert, models.SET_NULL, null=True, related_name="bundled")
    kind = models.CharField(max_length=12, choices=Kind)
    slot = models.BigIntegerField(
        default=0, help_text="Id of what somebody wrote; 0 for the engine's own reasons."
    )
    reason = models.CharField(max_length=400, help_text="Why, in words.")
    by = models.CharField(max_length=150)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="When it is expected to end, if that is known.")
    lifted_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True, help_text="Flapping: when the alert last changed.")
    quiet_since = models.DateTimeField(null=True, help_text="Flapping: its resolve is held back since.")

    class Meta:
        ordering = (F("lifted_at").desc(nulls_first=True), "-since")
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(
                fields=("alert", "kind", "slot"),
                name="alerts_alertsuppression_once",
                condition=Q(lifted_at=None),
            ),
        )
        indexes = (
            # The tick: flapping alerts that may be quiet, and children of an alert that ended.
            models.Index(
                fields=("kind", "parent"), name="alerts_alertsuppression_kind", condition=Q(lifted_at=None)
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.reason}"


class AlertCycle(models.Model):
    """One way of an alert from firing to resolved by its source: what flapping counts. Kept for a day."""

    dedup_key = models.CharField(max_length=255)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("dedup_key", "at"), name="alerts_alertcycle_key"),)
