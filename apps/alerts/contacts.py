"""One contact's pages, together: what went to it lately, what waits for it, and one message for several."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from apps.alerts import bundling, channels, delivery, messages, outbox
from apps.alerts.models import Page, PageState


def course_of(page_id: int, *, now: datetime) -> bundling.Course:
    """Whether this page may go now, and with what."""
    page = Page.objects.select_related("alert").get(pk=page_id)
    bundle_s = _bundle_s(page.kind)
    if not bundle_s or page.attempts:  # what was tried once already is in turn again
        return bundling.Course()
    return bundling.course(_component(page), _gone(page, bundle_s, now), bundle_s, now)


def _bundle_s(kind: str) -> int:
    sender = channels.registry.get(kind)
    return sender.bundle_s if sender else 0


def _component(page: Page) -> int | None:
    return page.alert.component_id if page.alert else None


def _same_contact(page: Page) -> Q:
    """Pages to the same place, of the same sort: pages and notices do not mix."""
    return Q(kind=page.kind, address=page.address, escalation__isnull=page.escalation_id is None)


def _gone(page: Page, bundle_s: int, now: datetime) -> list[bundling.Gone]:
    since = now - timedelta(seconds=2 * bundle_s)
    went = Q(state__in=(PageState.SENT, PageState.DELIVERED), sent_at__gt=since)
    going = Q(state=PageState.CLAIMED, lease_until__gt=now)
    rows = Page.objects.filter(_same_contact(page), went | going, carrier=None).exclude(pk=page.pk)
    lease = timedelta(seconds=delivery.LEASE_S)
    return [
        bundling.Gone(sent_at or (lease_until or now) - lease, component)
        for sent_at, lease_until, component in rows.values_list("sent_at", "lease_until", "alert__component")
    ]


@transaction.atomic
def hold(page_id: int, *, until: datetime) -> None:
    """It waits, to go with others."""
    Page.objects.filter(pk=page_id, state=PageState.PENDING).update(next_try_at=until)


def claim_others(page: Page, course: bundling.Course, *, now: datetime) -> list[Page]:
    """Claim what waits for the same contact and goes in the same message; each with its own look at its alert.

    Not what was refused as part of a message, nor what may have arrived already: that is repeated under its own key.
    """
    if not _bundle_s(page.kind) or page.data.get("plain") or not page.alert_id:
        return []
    if page.attempts > 1 and page.receipts.filter(outcome=delivery.AMBIGUOUS).exists():
        return []
    waiting = Page.objects.filter(_same_contact(page), state=PageState.PENDING, alert__isnull=False)
    waiting = waiting.exclude(data__has_key="plain").exclude(receipts__outcome=delivery.AMBIGUOUS)
    if not course.every_component:
        waiting = waiting.filter(alert__component=_component(page))
    found = waiting.order_by("created_at", "id").values_list("pk", flat=True)[: bundling.MOST_IN_ONE]
    claimed = (outbox.claim(pk, now=now, carrier=page) for pk in found)
    return [one for one in claimed if one is not None]


def message(page: Page, others: Sequence[Page]) -> Page:
    """What the channel is given: the page itself, or a copy that speaks for all of them."""
    if not others:
        return page
    lines = [_line(one) for one in (page, *others)]
    together = copy(page)
    together.subject = bundling.subject(lines, pages=page.escalation_id is not None)
    together.body = bundling.body(lines)
    together.data = {
        "sentence": together.body,
        "severity": page.data.get("severity"),
        "url": messages.list_url(),
    }
    return together


def _line(page: Page) -> bundling.Line:
    url = page.data.get("answer_url") or page.data.get("url", "")
    return bundling.Line(page.alert_id, page.subject, str(page.data.get("component", "")), str(url))
