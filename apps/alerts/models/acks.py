"""Who acknowledged, where one acknowledgement is not enough."""

from django.conf import settings
from django.db import models

from apps.alerts.models.alerts import Alert


class AlertAck(models.Model):
    """One person's acknowledgement of one episode of an alert."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="acks", db_index=False)
    epoch = models.PositiveIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    at = models.DateTimeField()
    via = models.CharField(max_length=16, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(fields=("alert", "epoch", "user"), name="alerts_alertack_once"),
        )

    def __str__(self) -> str:
        return f"{self.user} has {self.alert}"
