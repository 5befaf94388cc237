"""Deciding and paging: rules, alerts, frozen escalations, and the outbox of pages with the receipts of each try."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.core import secret_fields
from apps.core.severity import Severity
from apps.incidents.models import Incident
from apps.projects.models import Component, Project, Team

User = settings.AUTH_USER_MODEL


# --- Where a page can go ------------------------------------------------------------------------------------
def channel_kinds() -> list[tuple[str, str]]:
    """Choices from the registry of channels, as a callable, so that a new kind makes no migration."""
    from apps.alerts import channels

    return [(kind, channel.label) for kind, channel in channels.registry.items()]


class Channel(models.Model):
    """A place that is not a person: a Slack webhook, a signed webhook, a mailing list."""

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=16, choices=channel_kinds)
    address = models.CharField(
        max_length=500, blank=True, help_text="E-mail address, or the address of a webhook that is no secret."
    )
    secret = models.BinaryField(blank=True, default=b"", editable=False)
    secret_hint = models.CharField(max_length=16, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    last_sent_at = models.DateTimeField(null=True, editable=False)
    last_failed_at = models.DateTimeField(null=True, editable=False)
    last_failure = models.CharField(max_length=300, blank=True, editable=False)
    broken_since = models.DateTimeField(
        null=True, editable=False, help_text="Refused for good; mend and test it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def secret_place(self) -> str:
        """Where the secret belongs; part of its encrypted text."""
        return f"alerts.Channel.secret:{self.pk}"

    def open_secret(self) -> str:
        """The plain secret, for the one moment of sending."""
        return secret_fields.unseal(bytes(self.secret), place=self.secret_place)


class ContactMethod(models.Model):
    """How one person is reached, in their own order. Without one, the account's e-mail address is used."""

    user = models.ForeignKey(User, models.CASCADE, related_name="contact_methods")
    kind = models.CharField(max_length=16, choices=channel_kinds, default="email")
    address = models.CharField(max_length=500)
    order = models.PositiveSmallIntegerField(default=1)
    enabled = models.BooleanField(default=True)
    verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_failed_at = models.DateTimeField(null=True, editable=False)
    last_failure = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ("user", "order", "id")
        constraints = (
            models.UniqueConstraint(fields=("user", "kind", "address"), name="alerts_contactmethod_once"),
        )

    def __str__(self) -> str:
        return f"{self.user}: {self.kind} {self.address}"


# --- Whom to page, and when ---------------------------------------------------------------------------------
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


# --- What fires ---------------------------------------------------------------------------------------------
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
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.ERROR)
    policy = models.ForeignKey(EscalationPolicy, models.PROTECT, null=True, blank=True, related_name="rules")
    opens_incident = models.BooleanField(default=True)
    resolve_after_s = models.PositiveIntegerField(
        default=300, verbose_name="resolve after quiet (seconds)",
        help_text="0: only people resolve it.",
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


# --- What fired ---------------------------------------------------------------------------------------------
class AlertState(models.TextChoices):
    """Silenced is not a state: suppression stands beside it."""

    TRIGGERED = "triggered", "Firing"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


class AlertQuerySet(models.QuerySet["Alert"]):
    """The words that pages use."""

    def open(self) -> "AlertQuerySet":
        """Triggered or acknowledged."""
        return self.exclude(state=AlertState.RESOLVED)


class Alert(models.Model):
    """One thing that is wrong now. The database allows one open alert per deduplication key.

    `epoch` numbers the paging episodes: each return to triggered adds one, and an acknowledgement names the
    one it saw.
    """

    dedup_key = models.CharField(max_length=255)
    rule = models.ForeignKey(AlertRule, models.SET_NULL, null=True, blank=True, related_name="alerts")
    policy = models.ForeignKey(EscalationPolicy, models.SET_NULL, null=True, blank=True, related_name="+")
    project = models.ForeignKey(Project, models.CASCADE, related_name="alerts")
    component = models.ForeignKey(Component, models.SET_NULL, null=True, blank=True, related_name="alerts")
    incident = models.ForeignKey(Incident, models.SET_NULL, null=True, blank=True, related_name="alerts")
    title = models.CharField(max_length=200)
    sentence = models.TextField(blank=True, help_text="Why it fired, with the figure and the threshold.")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    state = models.CharField(max_length=12, choices=AlertState, default=AlertState.TRIGGERED)
    epoch = models.PositiveIntegerField(default=1)
    count = models.PositiveIntegerField(default=1, help_text="How often it was triggered while open.")
    value = models.FloatField(null=True)
    labels = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    triggered_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    acked_at = models.DateTimeField(null=True, blank=True)
    acked_by = models.CharField(max_length=150, blank=True)
    acked_via = models.CharField(max_length=16, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    resolved_via = models.CharField(max_length=16, blank=True)
    backfilled = models.BooleanField(default=False, editable=False)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ("-triggered_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("dedup_key",), name="alerts_alert_one_open", condition=~Q(state="resolved")
            ),
        )
        indexes = (
            # Triage and GET /api/reliability/alerts: what is open.
            models.Index(fields=("-triggered_at",), name="alerts_alert_open", condition=~Q(state="resolved")),
            # The alerts of an incident.
            models.Index(fields=("incident", "-triggered_at"), name="alerts_alert_incident"),
        )
        permissions = (("acknowledge_alert", "Can acknowledge and resolve alerts"),)

    def __str__(self) -> str:
        return self.title


# --- Whom it pages ------------------------------------------------------------------------------------------
class EscalationState(models.TextChoices):
    """Exhausted without having reached anybody is a state of its own, and red."""

    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    STOPPED = "stopped", "Stopped"
    EXHAUSTED = "exhausted", "All steps done"
    UNREACHED = "exhausted_unreached", "Reached nobody"


class EscalationQuerySet(models.QuerySet["Escalation"]):
    """The question that the tick asks."""

    def due(self, now: datetime) -> "EscalationQuerySet":
        """Active and past their time."""
        return self.filter(state=EscalationState.ACTIVE, next_at__lte=now)


class Escalation(models.Model):
    """One frozen run of a policy. The plan was computed when it began: editing the policy changes nothing here."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="escalations", db_index=False)
    epoch = models.PositiveIntegerField()
    policy_name = models.CharField(max_length=80)
    plan = models.JSONField(help_text="Steps as apps.alerts.escalation made them, with people and addresses.")
    step = models.PositiveSmallIntegerField(default=0, help_text="Index of the step that is next.")
    cycle = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    state = models.CharField(max_length=19, choices=EscalationState, default=EscalationState.ACTIVE)
    version = models.PositiveIntegerField(default=0)
    reached = models.PositiveIntegerField(default=0, help_text="Pages made so far.")
    started_at = models.DateTimeField()

    objects = EscalationQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = (models.UniqueConstraint(fields=("alert", "epoch"), name="alerts_escalation_epoch"),)
        # The tick: what is due. Partial, so that finished runs cost nothing.
        indexes = (
            models.Index(fields=("next_at",), name="alerts_escalation_due", condition=Q(state="active")),
        )

    def __str__(self) -> str:
        return f"{self.policy_name} for {self.alert}"


class PageState(models.TextChoices):
    """An outbox row's life."""

    PENDING = "pending", "Waiting"
    CLAIMED = "claimed", "Sending"
    SENT = "sent", "Sent"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Page(models.Model):
    """One message to one target on one channel: a row of the outbox. Without an escalation it is a notice.

    Delivery is at least once: `key` is stable over all tries, so that a receiver can tell a repetition.
    """

    key = models.CharField(
        max_length=120, unique=True, help_text="Stable over all tries; also the notice key."
    )
    escalation = models.ForeignKey(Escalation, models.CASCADE, null=True, related_name="pages")
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, related_name="pages", db_index=False)
    epoch = models.PositiveIntegerField(default=0)
    cycle = models.PositiveSmallIntegerField(default=0)
    step = models.PositiveSmallIntegerField(default=0)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="pages")
    channel = models.ForeignKey(Channel, models.SET_NULL, null=True, related_name="pages")
    contact_method = models.ForeignKey(ContactMethod, models.SET_NULL, null=True, related_name="+")
    target_label = models.CharField(max_length=150, help_text="Whom or what it goes to, in words.")
    kind = models.CharField(max_length=16, help_text="The channel's kind.")
    address = models.CharField(max_length=500, blank=True)
    subject = models.CharField(max_length=250)
    body = models.TextField()
    data = models.JSONField(default=dict, help_text="Facts for channels that lay out their own message.")
    urgency = models.CharField(max_length=8, choices=Severity.choices, default=Severity.ERROR)
    state = models.CharField(max_length=9, choices=PageState, default=PageState.PENDING)
    token = models.PositiveIntegerField(
        default=0, help_text="Number of the claim; a late result under an old one is told."
    )
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    deadline = models.DateTimeField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(
                fields=("escalation", "cycle", "step", "kind", "address"), name="alerts_page_once_per_step",
                condition=Q(escalation__isnull=False),
            ),
        )  # fmt: skip
        indexes = (
            # The tick: what is waiting, and claims whose lease ran out.
            models.Index(
                fields=("next_try_at",), name="alerts_page_due", condition=Q(state__in=("pending", "claimed"))
            ),
            # Acknowledgement cancels what waits for an alert.
            models.Index(fields=("alert", "state"), name="alerts_page_alert"),
        )

    def __str__(self) -> str:
        return f"{self.target_label}: {self.subject}"


class Attempt(models.Model):
    """The receipt of one try: what was tried, what came back. Append-only."""

    page = models.ForeignKey(Page, models.CASCADE, related_name="receipts")
    n = models.PositiveSmallIntegerField()
    token = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    outcome = models.CharField(max_length=12, help_text="sent, transient, ambiguous, permanent, bad_message")
    http_status = models.PositiveSmallIntegerField(null=True)
    provider_id = models.CharField(max_length=200, blank=True)
    retry_after_s = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("page", "n", "id")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"try {self.n}: {self.outcome}"


# Tables of on-call stand in a file of their own; Django looks for models here.
from apps.alerts import oncall_models  # noqa: E402, F401
