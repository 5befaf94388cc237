"""What the watchdog of the pager saw and said: one row for the whole portal."""

from django.db import models
from django.db.models import Q


class Watchdog(models.Model):
    """The last look, the last report, the last outgoing sign of life. One row: several processes look in turn."""

    looked_at = models.DateTimeField(null=True)
    watching_since = models.DateTimeField(
        null=True, help_text="Since when somebody has looked without a hole."
    )
    wrong = models.TextField(blank=True, help_text="What was wrong at the last look, a sentence a line.")
    alarmed_at = models.DateTimeField(
        null=True, help_text="Since when something has been wrong and was told."
    )
    reported_at = models.DateTimeField(null=True)
    report_lease = models.DateTimeField(null=True)
    report_failure = models.CharField(max_length=300, blank=True)
    pinged_at = models.DateTimeField(null=True)
    ping_lease = models.DateTimeField(null=True)
    ping_failure = models.CharField(max_length=300, blank=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "watchdog"
        constraints = (models.CheckConstraint(condition=Q(id=1), name="alerts_watchdog_one_row"),)

    def __str__(self) -> str:
        return "Watchdog of the pager"
