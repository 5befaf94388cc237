"""What delivery remembers of providers."""

from django.db import models


class Breaker(models.Model):
    """How a lane (a kind of channel, or one channel) has been failing; shared by all workers."""

    lane = models.CharField(max_length=40, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField()
    last_failure = models.CharField(max_length=300, blank=True)
    opens = models.PositiveIntegerField(default=0, help_text="How often in a row it was found shut.")
    opened_at = models.DateTimeField(null=True)
    probe_at = models.DateTimeField(null=True, help_text="When one page may try again.")
    probing = models.BooleanField(default=False)

    class Meta:
        ordering = ("lane",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.lane
