"""What every room stands on: the ledger of ticks."""

from datetime import datetime

from django.db import models
from django.db.models import Q


class TickRun(models.Model):
    """One row per tick and slot: its lease, its last run and what it left behind.

    The home page, /api/ready, /metrics and rules read how the portal is doing from here and from nowhere else.
    """

    name = models.CharField(max_length=64)
    slot = models.PositiveSmallIntegerField(default=0)
    every_s = models.PositiveIntegerField(help_text="How often it should run, in seconds.")
    created_at = models.DateTimeField(auto_now_add=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(default=0)
    runs = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)
    last_error = models.TextField(blank=True)
    said = models.CharField(max_length=300, blank=True, help_text="What the last run did, in a sentence.")
    backlog = models.BigIntegerField(default=0, help_text="Work that was due and is still waiting.")
    oldest_at = models.DateTimeField(null=True, help_text="Since when the oldest piece of it waits.")
    rejected = models.BigIntegerField(default=0, help_text="Pieces set aside since the beginning.")

    class Meta:
        ordering = ("name", "slot")
        constraints = (models.UniqueConstraint(fields=("name", "slot"), name="core_tickrun_one_per_slot"),)

    def __str__(self) -> str:
        return self.name if not self.slot else f"{self.name} #{self.slot}"

    def late_s(self, now: datetime) -> int:
        """Seconds beyond three periods (at least 15 s) since it last succeeded or was first tried; 0 in time."""
        since = self.succeeded_at or self.created_at
        allowed_s = max(3 * self.every_s, 15)
        return max(0, int((now - since).total_seconds()) - allowed_s)


class PartitionedTable(models.Model):
    """The tables that the partition functions of the database may touch: their allow-list and their retention."""

    DAY, MONTH = "day", "month"

    name = models.CharField(max_length=63, primary_key=True)
    span = models.CharField(max_length=5)
    ahead = models.PositiveSmallIntegerField(default=7, help_text="Partitions made in advance.")
    keep_days = models.PositiveIntegerField(null=True, help_text="Older ones are dropped; empty keeps them.")

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(span__in=("day", "month")), name="core_partitionedtable_span"),
        )

    def __str__(self) -> str:
        return self.name
