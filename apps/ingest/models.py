"""The durable inbox, and what was set aside. No facts of its own."""

from django.db import models
from django.db.models import functions


class EntryKind(models.IntegerChoices):
    """Through which door an entry came: how the drain reads its body."""

    ENVELOPE = 1, "Sentry envelope"
    STORE = 2, "Sentry store"
    RECORDS = 3, "Error records"
    TRACKED = 4, "Tracked events"


class InboxEntry(models.Model):
    """One accepted request, as received. Its commit is what a 2xx promises; the drain deletes it in the
    transaction that stores its facts. Held for seconds; no page and no command shows a body.
    """

    id = models.BigAutoField(primary_key=True)
    received_at = models.DateTimeField()
    project_id = models.BigIntegerField()
    kind = models.PositiveSmallIntegerField(choices=EntryKind)
    coding = models.CharField(
        max_length=8, blank=True, help_text="Content-Encoding of the body, kept as it came."
    )
    context = models.JSONField(
        default=dict, help_text="Device type and hashed caller; nothing else of the request."
    )
    body = models.BinaryField()
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, help_text="Waits until then after a failed attempt.")

    class Meta:
        default_permissions = ()
        ordering = ("id",)


class InboxWriter(models.Model):
    """How far one writer of the inbox has come: written in the transaction that it tells about.

    A writer is a connection of the door, which counts its groups, or a segment of the spool, whose bytes are counted.
    So a commit of which nobody heard the answer is decided by looking, and nothing is moved twice.
    """

    id = models.UUIDField(primary_key=True)
    done = models.BigIntegerField(db_default=0)
    seen_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        default_permissions = ()


class SetAside(models.Model):
    """What could not be stored: why, how large, which digest, and the first 200 bytes scrubbed."""

    received_at = models.DateTimeField(db_index=True)
    set_aside_at = models.DateTimeField(auto_now_add=True)
    project_id = models.BigIntegerField()
    kind = models.CharField(max_length=32, help_text="The item's type, such as event.")
    code = models.CharField(max_length=64)
    field = models.CharField(max_length=200, blank=True)
    reason = models.TextField()
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    preview = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-id",)
        verbose_name = "payload set aside"
        verbose_name_plural = "payloads set aside"

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason[:80]}"


class ItemCount(models.Model):
    """How many items of each type arrived a day, and what became of them: nothing disappears uncounted."""

    day = models.DateField()
    project_id = models.BigIntegerField()
    item_type = models.CharField(max_length=32)
    outcome = models.CharField(max_length=24, help_text="stored, duplicate, counted, too_large, set_aside …")
    n = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(
                fields=("day", "project_id", "item_type", "outcome"), name="ingest_itemcount_key"
            ),
        )
        # Quotas: a project's month so far.
        indexes = (models.Index(fields=("project_id", "day"), name="ingest_itemcount_project"),)
