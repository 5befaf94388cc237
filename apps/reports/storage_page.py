"""The page of storage: /admin/storage/."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.reports import storage
from apps.reports.pages import page

PERMISSION = "core.view_partitionedtable"


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Sizes, growth, what is dropped when."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    now = timezone.now()
    found = storage.storage(now)
    return page(
        request, "admin/storage.html", title="Storage", storage=found, now=now, kept=storage.counters_kept()
    )
