"""What ingestion set aside, and what it counted, in the admin."""

from django.contrib import admin

from apps.core.admin import FastListMixin, ReadOnlyMixin
from apps.ingest.models import ItemCount, SetAside


@admin.register(SetAside)
class SetAsideAdmin(FastListMixin, ReadOnlyMixin):
    """Payloads that could not be stored: why, how large, and their first bytes scrubbed."""

    list_display = ("set_aside_at", "kind", "code", "reason", "project_id", "size")
    list_filter = ("code", "kind")
    sortable_by = ()


@admin.register(ItemCount)
class ItemCountAdmin(FastListMixin, ReadOnlyMixin):
    """Items by day, type and what became of them: nothing disappears uncounted."""

    list_display = ("day", "project_id", "item_type", "outcome", "n")
    list_filter = ("item_type", "outcome")
    ordering = ("-day", "item_type")
