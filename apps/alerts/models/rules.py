"""What fires: rules, and what each last saw."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.alerts.models.policies import EscalationPolicy
from apps.core.severity import Severity
from apps.projects.models import Component, Project

User = settings.AUTH_USER_MODEL


def measures() -> list[tuple[str, str]]:
    """Choices from the registry of measures."""
    from apps.alerts import measures as registry

    return registry.choices()


class AlertRule(models.Model):
    """A question asked every few seconds: does this measure, over this window, pass this threshold?"""

    name = models.CharField(max_length=100, unique=True)
    code = models.SlugField(max_length=40, blank=True, editable=False, help_text="Set for built-in rules.")
    description = models.TextField(blank=True)
    condition = models.CharField(
        max_length=120, help_text="A measure, an operator and a number, such as errorCount > 10."
    )
    threshold = models.DecimalField(
        max_digits=14, decimal_places=4, null=True, blank=True,
        help_text="May stand here instead of in the condition; two unequal numbers are refused.",
    )  # fmt: skip
    window_s = models.PositiveIntegerField(
        default=300,
        validators=[MinValueValidator(60), MaxValueValidator(86_400)],
        verbose_name="window (seconds)",
    )
    for_s = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(86_400)], verbose_name="must hold for (seconds)"
    )
    minimum = models.PositiveIntegerField(
        default=0,
        help_text="Fewer events than this in the window are no evidence: the rule then says nothing.",
    )
    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, help_text="Empty: every project."
    )
    component = models.ForeignKey(
        Component, models.CASCADE, null=True, blank=True, help_text="Empty: each one."
    )
    component_name = models.CharField(
        max_length=80, blank=True, help_text="Or by name, in every project, such as Payments."
    )
    record_severity = models.CharField(
        max_length=8, blank=True, choices=(("Critical", "Critical"), ("Major", "Major"), ("Minor", "Minor")),
        help_text="Count only errors of this severity.",
    )  # fmt: skip
    matchers = models.JSONField(
        default=dict, blank=True, help_text="Count only what these name, such as an endpoint."
    )
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.ERROR)
    policy = models.ForeignKey(EscalationPolicy, models.PROTECT, null=True, blank=True, related_name="rules")
    opens_incident = models.BooleanField(default=True)
    resolve_after_s = models.PositiveIntegerField(
        default=300, verbose_name="resolve after quiet (seconds)",
        help_text="0: only people resolve it.",
    )  # fmt: skip
    reopen_window_s = models.PositiveIntegerField(
        default=0, blank=True, validators=[MaxValueValidator(86_400)], verbose_name="reopen within (seconds)",
        help_text="Firing again so soon after its end, the same alert goes on in a new episode. 0: a new alert.",
    )  # fmt: skip
    enabled = models.BooleanField(default=True)
    tags = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("code",), name="alerts_rule_code", condition=~Q(code="")),
        )

    def __str__(self) -> str:
        return self.name


class RuleState(models.Model):
    """What a rule last saw for one subject, and since when the condition holds: the memory behind "must
    hold for"."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="states", db_index=False)
    subject = models.CharField(max_length=200, help_text="What it was asked of, such as component:4.")
    value = models.FloatField(null=True, help_text="Empty: no data.")
    seen_at = models.DateTimeField()
    holds_since = models.DateTimeField(null=True)
    quiet_since = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("rule", "subject"), name="alerts_rulestate_subject"),)
