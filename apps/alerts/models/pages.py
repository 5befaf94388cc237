"""Whom it pages: frozen escalations, the outbox of pages, the receipts of each try."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.alerts.models.alerts import Alert
from apps.alerts.models.targets import Channel, ContactMethod
from apps.core.severity import Severity

User = settings.AUTH_USER_MODEL


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
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="pages")
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
    carrier = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="carried", db_index=False,
        help_text="The page in whose message this one went.",
    )  # fmt: skip
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
            # What waits for one contact, and what went to it lately.
            models.Index(
                fields=("address", "kind"),
                name="alerts_page_waits",
                condition=Q(state__in=("pending", "claimed")),
            ),
            models.Index(
                fields=("address", "kind", "-sent_at"),
                name="alerts_page_gone",
                condition=Q(sent_at__isnull=False),
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
