"""Tables of on-call: schedules, their layers and the people in them, overrides, and the secret links of calendars."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from apps.alerts.oncall import rotations, windows
from apps.core.zones import known_zone
from apps.projects.models import Team

User = settings.AUTH_USER_MODEL
YEARS = range(1971, 3000)


def validate_zone(name: str) -> None:
    """An IANA name, such as Europe/Berlin."""
    if not known_zone(name):
        raise ValidationError(f"{name[:60]!r} is no IANA time zone, such as Europe/Berlin.")


def validate_windows(text: str) -> None:
    """Windows must be readable; the message names the piece that is not."""
    try:
        windows.parse(text)
    except ValueError as refusal:
        raise ValidationError(str(refusal)) from refusal


class Schedule(models.Model):
    """Who is on call when: layers, the strongest first, and overrides above them."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    zone = models.CharField(
        max_length=64, default="UTC", validators=[validate_zone], verbose_name="time zone",
        help_text="IANA name. Handovers and windows of its layers are times on the wall there.",
    )  # fmt: skip
    team = models.ForeignKey(
        Team, models.SET_NULL, null=True, blank=True, related_name="schedules",
        help_text="Its calendar shows all schedules of the team.",
    )  # fmt: skip
    handover_mail = models.BooleanField(
        default=True, help_text="Tell people when their shift begins, with what is open."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Layer(models.Model):
    """One rotation of a schedule: people take turns, handed over at a local time."""

    class Unit(models.TextChoices):
        """Of the length of a turn, on the wall."""

        HOURS = "hours", "Hours"
        DAYS = "days", "Days"
        WEEKS = "weeks", "Weeks"

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="layers")
    name = models.CharField(max_length=80)
    order = models.PositiveSmallIntegerField(
        default=1, verbose_name="strength", help_text="1 decides first; a weaker layer fills what it leaves."
    )
    starts_on = models.DateField(help_text="The first turn begins on this day.")
    handover_at = models.TimeField(
        default="09:00", help_text="Local time. Where the clock skips it, the moment of the jump; where it comes "
        "twice, the first."
    )  # fmt: skip
    every = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(500)], verbose_name="length of a turn"
    )
    unit = models.CharField(max_length=5, choices=Unit, default=Unit.WEEKS)
    windows = models.TextField(
        blank=True, max_length=2000, validators=[validate_windows], verbose_name="only within",
        help_text="Empty: always. Such as Mon-Fri 09:00-17:00; Fri 17:00 - Mon 09:00.",
    )  # fmt: skip
    ends_on = models.DateField(
        null=True, blank=True, help_text="The last turn ends on this day, at the time of handover."
    )
    zone = models.CharField(
        max_length=64, blank=True, validators=[validate_zone], verbose_name="time zone",
        help_text="Empty: that of the schedule.",
    )  # fmt: skip

    class Meta:
        ordering = ("schedule", "order", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(ends_on=None) | Q(ends_on__gt=F("starts_on")), name="alerts_layer_ends_later",
                violation_error_message="It ends before it starts.",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.schedule}: {self.name}"

    def clean(self) -> None:
        """A turn may not be longer than the look ahead of a calendar; days lie where every zone can count."""
        if (
            self.every
            and self.every * rotations.UNITS.get(self.unit, rotations.UNITS["hours"]) > rotations.LONGEST
        ):
            raise ValidationError({"every": f"A turn lasts {rotations.LONGEST.days} days at most."})
        for name in ("starts_on", "ends_on"):
            day = getattr(self, name)
            if day and day.year not in YEARS:
                raise ValidationError({name: f"Outside the years {YEARS[0]} to {YEARS[-1]}."})


class LayerMember(models.Model):
    """A person's place in a rotation. Equal numbers are on call together; a person may have several places."""

    layer = models.ForeignKey(Layer, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    order = models.PositiveSmallIntegerField(
        default=1, verbose_name="turn", help_text="Equal numbers are on call together."
    )

    class Meta:
        ordering = ("layer", "order", "id")
        verbose_name = "member"
        constraints = (
            models.UniqueConstraint(fields=("layer", "order", "user"), name="alerts_layermember_once"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.layer}"


class Override(models.Model):
    """Somebody stands in for an interval, whatever the layers say. Of two at one time the later made counts."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="overrides", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name="who stands in")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    source_uid = models.CharField(
        max_length=300, blank=True, editable=False, help_text="Of the imported calendar's event."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ("-starts_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="alerts_override_some_time",
                violation_error_message="It ends before it begins, or has no length.",
            ),
            models.UniqueConstraint(
                fields=("schedule", "source_uid", "starts_at"), name="alerts_override_imported_once",
                condition=~Q(source_uid=""),
            ),
        )  # fmt: skip
        # Who is on call: what touches a range.
        indexes = (models.Index(fields=("schedule", "ends_at"), name="alerts_override_until"),)

    def __str__(self) -> str:
        return f"{self.user} stands in on {self.schedule}"


class CalendarLinkQuerySet(models.QuerySet["CalendarLink"]):
    """The words that pages use."""

    def live(self) -> "CalendarLinkQuerySet":
        """Not revoked."""
        return self.filter(revoked_at=None)


class CalendarLink(models.Model):
    """A secret address under which a calendar reads somebody's shifts. The secret is stored as a digest only."""

    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="calendar_links")
    schedule = models.ForeignKey(
        Schedule, models.CASCADE, null=True, blank=True, related_name="calendar_links"
    )
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="calendar_links")
    digest = models.BinaryField(unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text="The secret's visible start.")
    created_at = models.DateTimeField(editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = CalendarLinkQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(user__isnull=False, schedule=None, team=None)
                | Q(user=None, schedule__isnull=False, team=None)
                | Q(user=None, schedule=None, team__isnull=False),
                name="alerts_calendarlink_one_subject",
            ),
        )

    def __str__(self) -> str:
        return f"calendar of {self.subject}"

    @property
    def subject(self) -> Any:
        """The person, schedule or team whose shifts it shows."""
        return self.user or self.schedule or self.team


class PersonZone(models.Model):
    """Where a person lives by the clock: for the times in what they are told, and for what is night to them.
    Without a row it is the portal's zone."""

    user = models.OneToOneField(User, models.CASCADE, related_name="on_call_zone", primary_key=True)
    zone = models.CharField(
        max_length=64, validators=[validate_zone], verbose_name="time zone", help_text="IANA name."
    )

    class Meta:
        ordering = ("user",)
        verbose_name = "person's time zone"
        verbose_name_plural = "people's time zones"

    def __str__(self) -> str:
        return f"{self.user}: {self.zone}"
