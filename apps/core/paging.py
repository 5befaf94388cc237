"""Paging: by key, never by offset, so that page 1,000 costs what page 1 costs; and counts with an honest cap."""

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from rest_framework.pagination import CursorPagination

COUNT_CAP = 10_000


class KeysetPagination(CursorPagination):
    """Newest first by id; `next` and `previous` are whole addresses."""

    ordering = "-id"
    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts at most 10,000 rows; the list then says "10,000+" instead of an invented or expensive number."""

    object_list: QuerySet  # type: ignore[type-arg]

    @cached_property
    def count(self) -> int:
        """Rows, at most the cap plus one."""
        if not isinstance(self.object_list, QuerySet):
            return len(self.object_list)
        return self.object_list.order_by()[: COUNT_CAP + 1].count()
