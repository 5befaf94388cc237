"""Planted faults: the engine with one part replaced by what a less careful one does. Each must break a promise."""

import threading
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from apps.alerts import delivery, outbox, paging, services, walking
from apps.alerts.models import Escalation, Page, PageState

_meet = threading.Barrier(2)


def claim_by_looking_first(page_id, *, now):
    """Looks, then writes what it looked at: two workers that look together both take the page."""
    page = Page.objects.select_related("channel").get(pk=page_id)
    expired = page.state == PageState.CLAIMED and page.lease_until < now
    if not (page.state == PageState.PENDING or expired):
        return None
    if page.escalation_id and outbox._suppressed_while_triggered(page.alert_id, page.epoch) is None:
        outbox.cancel_pages_of(page_id, now=now)
        return None
    try:
        _meet.wait(0.05)  # the moment between the look and the write, made long enough for both
    except threading.BrokenBarrierError:
        _meet.reset()
    page.state, page.token, page.attempts = PageState.CLAIMED, page.token + 1, page.attempts + 1
    page.lease_until = page.next_try_at = now + timedelta(seconds=delivery.LEASE_S)
    page.save()
    return page


def claim_marks_as_sent(page_id, *, now):
    """Marks first and sends then: who dies between the two has lost the page."""
    page = _claim(page_id, now=now)
    if page is not None:
        Page.objects.filter(pk=page_id).update(state=PageState.SENT, sent_at=now)
    return page


def claim_gives_up_past_the_deadline(page_id, *, now):
    """A page that was not tried in its time is failed for good, though nobody ever tried it."""
    late = Q(pk=page_id, state=PageState.PENDING, deadline__lt=now)
    if Page.objects.filter(late).update(state=PageState.FAILED, failure="expired"):
        return None
    return _claim(page_id, now=now)


def step_by_the_old_time(due, made, now):
    """The next step waits from when this one should have run: after a pause all that were missed run at once."""
    move = _step(due, made, now)
    move.next_at = Escalation.objects.get(pk=due.run.pk).next_at + (move.next_at - now)
    return move


_claim, _step = outbox.claim, walking._step

# What is planted, where, and the promises it may break; the first one is the one it is known for.
FAULTS = {
    "a claim that looks before it writes": (outbox, "claim", claim_by_looking_first, {"P4"}),
    "no look at the alert when sending": (outbox, "_suppressed_while_triggered", lambda *_: False, {"P3"}),
    "marked as sent before sending": (outbox, "claim", claim_marks_as_sent, {"P8", "P14"}),
    "an expired deadline is a failure": (outbox, "claim", claim_gives_up_past_the_deadline, {"P8"}),
    "a burst to catch up": (walking, "_step", step_by_the_old_time, {"P6", "P5"}),
    "acknowledging leaves the escalation running": (paging, "stop_escalations", lambda *_: 0, {"P3"}),
    "an old episode may acknowledge": (services, "_refuse_stale", lambda *_: None, {"P10"}),
    "a receipt is taken whoever holds the page": (outbox, "_record", None, {"P14"}),
    "acknowledged without an event": (services.audit, "record", None, {"P17"}),
}


@contextmanager
def planted(monkeypatch, name):
    """The engine with this fault."""
    place, part, broken, _ = FAULTS[name]
    with monkeypatch.context() as patch:
        patch.setattr(place, part, broken or BROKEN_BY_NAME[name](getattr(place, part)))
        yield


def _forgets_acknowledgements(record):
    def forget(action, **facts):
        return None if action == "alert.acknowledge" else record(action, **facts)

    return forget


def _takes_any_receipt(record):
    @transaction.atomic
    def take(page, receipt, started_at, now):
        token = Page.objects.get(pk=page.pk).token
        Page.objects.filter(pk=page.pk).update(state=PageState.CLAIMED)
        page.token = token
        return record(page, receipt, started_at, now)

    return take


BROKEN_BY_NAME = {
    "a receipt is taken whoever holds the page": _takes_any_receipt,
    "acknowledged without an event": _forgets_acknowledgements,
}
