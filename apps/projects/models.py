"""What reports, and with which key: projects, their components and keys, the teams behind them, API tokens."""

import secrets
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from apps.projects.origins import validate_origin

_slug = RegexValidator(
    r"^[a-z0-9]+(-[a-z0-9]+)*$", "Lower-case letters and digits, joined by single hyphens."
)


class Team(models.Model):
    """People who answer for components together."""

    name = models.CharField(max_length=80, unique=True)
    slug = models.CharField(max_length=60, unique=True, validators=[_slug])
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams", blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """What reports: one application, with the keys that its SDKs use. Its id is the number in the DSN."""

    name = models.CharField(max_length=80, unique=True)
    slug = models.CharField(max_length=60, unique=True, validators=[_slug])
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="projects")
    default_component = models.ForeignKey(
        "Component", models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="Takes what no routing rule places. Empty: API Services, or Frontend UI for browsers.",
    )  # fmt: skip
    error_retention_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Days that error events are kept. Empty: the installation's ERROR_RETENTION_DAYS. "
        "Groups and their figures stay.",
    )  # fmt: skip
    events_per_day = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Events taken in a day (UTC) before 429; empty: no end."
    )
    events_per_month = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Events taken in a calendar month (UTC) before 429; empty: no end."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    backfilled = models.BooleanField(default=False, editable=False, help_text="Part of the demo story.")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class RetentionMark(models.Model):
    """How far a project's own, shorter retention has been carried out in one table: no day is read twice."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="retention_marks", db_index=False)
    table = models.CharField(max_length=63)
    done_until = models.DateTimeField(help_text="Days before this one hold no rows of the project any more.")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("project", "table"), name="projects_retentionmark_table"),
        )


class RetentionDay(models.Model):
    """Rows that a project's own retention deleted on one day, until the audit log has their sum."""

    day = models.DateField()
    project = models.ForeignKey(Project, models.CASCADE, related_name="retention_days", db_index=False)
    table = models.CharField(max_length=63)
    n = models.BigIntegerField()
    audited_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("day", "project", "table"), name="projects_retentionday_key"),
        )


class Component(models.Model):
    """A part of a project that fails by itself; may depend on others."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="components")
    name = models.CharField(max_length=80)
    slug = models.CharField(max_length=60, validators=[_slug])
    description = models.TextField(blank=True)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="components")
    depends_on = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="dependants")

    class Meta:
        ordering = ("project", "name")
        constraints = (
            models.UniqueConstraint(fields=("project", "slug"), name="projects_component_slug"),
            models.UniqueConstraint(fields=("project", "name"), name="projects_component_name"),
        )

    def __str__(self) -> str:
        return self.name


class RoutingRule(models.Model):
    """Which component a route belongs to, when the sender did not say: the first rule that fits decides."""

    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="routing_rules",
        help_text="Empty: for every project.",
    )  # fmt: skip
    order = models.PositiveSmallIntegerField(default=100)
    pattern = models.CharField(
        max_length=200, help_text="Words of the route, such as auth or /api/journal; * stands for anything."
    )
    component = models.CharField(max_length=80, help_text="The component's name; made when first needed.")

    class Meta:
        ordering = ("order", "id")

    def __str__(self) -> str:
        return f"{self.pattern} → {self.component}"


def new_public_key() -> str:
    """32 hex digits, 128 random bits: the form that SDKs expect in a DSN."""
    return secrets.token_hex(16)


class ProjectKeyQuerySet(models.QuerySet["ProjectKey"]):
    """Words for the questions the door asks."""

    def usable(self, now: datetime) -> "ProjectKeyQuerySet":
        """Active and not past their end."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), active=True)


class ProjectKey(models.Model):
    """A DSN's key: public, write-only, reaches ingestion and nothing else. Two may overlap while one is rotated."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="keys")
    public_key = models.CharField(
        max_length=32, unique=True, default=new_public_key, validators=[RegexValidator(r"^[0-9a-f]{32}$")]
    )
    label = models.CharField(max_length=80, default="default")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, editable=False, related_name="replaces"
    )
    allowed_origins = ArrayField(
        models.CharField(max_length=200, validators=[validate_origin]), default=list, blank=True,
        help_text="Origins of pages that may use this key, comma separated, such as https://app.example.org or "
                  "https://*.example.org. Empty: any. Advice for browsers, not a wall: the key is public.",
    )  # fmt: skip
    rate_limit_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)],
        help_text="Events per minute before 429; empty: the installation's limit.",
    )  # fmt: skip

    objects = ProjectKeyQuerySet.as_manager()

    class Meta:
        ordering = ("project", "created_at")

    def __str__(self) -> str:
        return f"{self.project}: {self.label}"


class KeyDay(models.Model):
    """Requests with a key, by day of UTC: shows whether an old key is still in use before it is switched off."""

    key = models.ForeignKey(ProjectKey, models.CASCADE, related_name="days", db_index=False)
    day = models.DateField()
    requests = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("key", "day"), name="projects_keyday_key_day"),)


SCOPES = {
    "api:read": "Read what the person may see",
    "alerts:write": "Acknowledge and resolve alerts",
    "incidents:write": "Open and work on incidents",
    "errors:write": "Resolve, ignore and reopen error groups",
    "slo:write": "Send SLO events",
    "mirror:write": "Send mirror samples",
    "audit:read": "Read and export the audit log",
}


class ApiToken(models.Model):
    """A person's token for the API. Only its SHA-256 is stored; the whole is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80, default="token")
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
