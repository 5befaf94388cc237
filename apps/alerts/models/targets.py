"""Where a page can go: channels, and the ways to reach a person."""

from django.conf import settings
from django.db import models

from apps.core import secret_fields

User = settings.AUTH_USER_MODEL


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
    urgency = models.CharField(
        max_length=4,
        choices=[("high", "High only"), ("low", "Low only")],
        blank=True,
        help_text="Empty: for both. High are critical and error, unless the step says otherwise.",
    )
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
