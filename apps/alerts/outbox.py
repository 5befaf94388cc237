"""Rows of the outbox: made, claimed, their results recorded. A page leaves the database only through here.

Lock order everywhere: alert, escalation, page, incident. Acknowledging takes the alert's row FOR NO KEY
UPDATE, which claims (FOR SHARE) wait for, while the foreign keys of new pages (FOR KEY SHARE) do not.
"""

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import orjson
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from apps.alerts import channels, delivery, escalation, messages
from apps.alerts.answering import links
from apps.alerts.channels import Receipt
from apps.alerts.due import Paged, Run
from apps.alerts.escalation import Target
from apps.alerts.models import (
    Alert,
    AlertState,
    Attempt,
    Channel,
    ContactMethod,
    Escalation,
    EscalationState,
    Page,
    PageState,
)
from apps.audit import services as audit
from apps.audit.models import Category, Outcome
from apps.core.bulk import fetched
from apps.core.severity import RANK, Severity
from apps.core.ticks import wake
from apps.incidents import services as incidents

Row = dict[str, Any]
# What a step may say instead of the alert's severity.
_URGENT = {"high": Severity.CRITICAL, "low": Severity.WARNING}


# --- Making -------------------------------------------------------------------------------------------------
def key_of(*parts: object) -> str:
    """A page's stable name, fit for mail headers and web hooks; addresses are hashed, they may be long."""
    *named, address = parts
    digest = hashlib.sha256(str(address).encode()).hexdigest()[:12]
    return "-".join([*map(str, named), digest])[:120]


def row_for(run: Escalation | Run, alert: Alert | Paged, target: Target, told: messages.Told, *, deadline: datetime,
            now: datetime, step: int | None = None, cycle: int | None = None, urgency: str = "") -> Row:  # fmt: skip
    """The columns of a page of a step. `told` is made once for all targets of the step."""
    step = run.step if step is None else step
    cycle = run.cycle if cycle is None else cycle
    then = [asdict(way) for way in target.then]
    return {
        "key": key_of("page", run.pk, cycle, step, target.kind, target.address),
        "escalation_id": run.pk, "alert_id": alert.pk, "epoch": run.epoch, "cycle": cycle, "step": step,
        "user_id": target.user_id, "channel_id": target.channel_id, "contact_method_id": target.method_id,
        "target_label": target.label[:150], "kind": target.kind, "address": target.address[:500],
        "subject": told.subject, "body": told.body, "data": {**told.data, "then": then} if then else told.data,
        "urgency": _URGENT.get(urgency) or urgency or alert.severity, "next_try_at": now,
        "deadline": deadline, "created_at": now,
    }  # fmt: skip


@cache
def _blank() -> Row:
    """Every column as a new page has it; a row names only where it differs."""
    fields = (field for field in Page._meta.concrete_fields if not field.primary_key)
    return {field.attname: field.get_default() for field in fields}


def insert(rows: Sequence[Row]) -> None:
    """Pages that are there already stay as they are: the database holds one per step and address."""
    _forget_the_deleted(rows)
    fetched(_insert_sql(), [orjson.dumps(_blank()).decode(), orjson.dumps(rows).decode()])
    wake("alerts.deliver")


@cache
def _insert_sql() -> str:
    """One statement for any number of pages, handed in as one JSON document beside what they have in common: not a
    parameter for each value."""
    columns = ", ".join(f'"{name}"' for name in _blank())
    return (
        f"INSERT INTO alerts_page ({columns}) SELECT {columns} "  # noqa: S608 - names of our own columns
        "FROM jsonb_populate_recordset(jsonb_populate_record(NULL::alerts_page, %s::text::jsonb), %s::text::jsonb) "
        "ON CONFLICT DO NOTHING"
    )


def _forget_the_deleted(rows: Sequence[Row]) -> None:
    """A frozen plan may name who or what was deleted since: the address is paged, the reference is left out, or it
    would refuse all pages of the batch."""
    for name, model in (
        ("user_id", get_user_model()),
        ("channel_id", Channel),
        ("contact_method_id", ContactMethod),
    ):
        named = {row[name] for row in rows if row.get(name)}
        gone = (
            named - set(model._default_manager.filter(pk__in=named).values_list("pk", flat=True))
            if named
            else ()
        )
        for row in rows if gone else ():
            if row.get(name) in gone:
                row[name] = None


def notice(*, key: str, target: Target, told: messages.Told, now: datetime, alert: Alert | None = None,
           urgency: str = Severity.INFO) -> None:  # fmt: skip
    """A message outside any escalation, once per key. Acknowledging does not cancel it."""
    row = {
        "key": key[:120], "alert_id": alert.pk if alert else None, "user_id": target.user_id,
        "channel_id": target.channel_id, "contact_method_id": target.method_id,
        "target_label": target.label[:150], "kind": target.kind, "address": target.address[:500],
        "subject": told.subject, "body": told.body, "data": told.data, "urgency": urgency, "next_try_at": now,
        "deadline": now + timedelta(seconds=delivery.NOTICE_LIFE_S), "created_at": now,
    }  # fmt: skip
    insert([row])


def cancel_pages(alert_ids: Iterable[int], *, now: datetime) -> int:
    """Cancel what waits for these alerts. Must be a later statement than the stop of their escalations: it
    then sees the pages that a step made meanwhile. A claim in flight is left to end."""
    waiting = Q(state=PageState.PENDING) | Q(state=PageState.CLAIMED, lease_until__lt=now)
    return Page.objects.filter(waiting, alert_id__in=list(alert_ids), escalation__isnull=False).update(
        state=PageState.CANCELLED
    )


def notify_resolved(alert: Alert, *, now: datetime, actor: Any = None) -> None:
    """Tell those who were paged in this episode, but not whoever resolved it."""
    told = messages.resolved(alert)
    for page in _paged(alert):
        if actor is None or page.user_id != actor.pk:
            _follow("resolved", page, told, now)


def notify_acknowledged(alert: Alert, *, now: datetime) -> None:
    """Tell places that show the alert's state themselves, such as PagerDuty and messages with buttons."""
    told = messages.acknowledged(alert)
    for page in _paged(alert).filter(kind__in=channels.following()):
        _follow("acknowledged", page, told, now)


def _paged(alert: Alert) -> QuerySet[Page]:
    """One page for each place that was paged in this episode."""
    gone = (PageState.SENT, PageState.DELIVERED)
    paged = Page.objects.filter(alert=alert, epoch=alert.epoch, escalation__isnull=False, state__in=gone)
    return paged.distinct("kind", "address", "channel_id").order_by("kind", "address", "channel_id", "-id")


def _follow(verb: str, page: Page, told: messages.Told, now: datetime) -> None:
    alert = page.alert
    if alert is None:
        return
    target = Target(
        page.kind, page.address, page.target_label, page.user_id, page.channel_id, page.contact_method_id
    )
    if page.kind in channels.following():
        sent = (
            page.receipts.filter(outcome=delivery.SENT)
            .order_by("-id")
            .values_list("provider_id", flat=True)
            .first()
        )
        told = replace(told, data={**told.data, "replaces": sent or ""})
    place = f"{page.address}#{page.channel_id}" if page.channel_id else page.address
    key = key_of(verb, alert.pk, alert.epoch, page.kind, place)
    notice(key=key, target=target, told=told, now=now, alert=alert)


# --- Claiming -----------------------------------------------------------------------------------------------
# A fair share: the first page of each component goes before the second of any, so a storm holds up nobody else.
_DUE = """
SELECT id, kind, channel_id, deadline FROM (
  SELECT p.id, p.created_at, p.kind, p.channel_id, p.deadline, array_position(%s::text[], p.urgency::text) AS rank,
    row_number() OVER (PARTITION BY p.urgency, a.project_id, a.component_id ORDER BY p.created_at, p.id) AS turn
  FROM alerts_page p LEFT JOIN alerts_alert a ON a.id = p.alert_id
    LEFT JOIN alerts_escalation e ON e.id = p.escalation_id
  WHERE p.state IN ('pending', 'claimed') AND p.next_try_at <= %s
    AND (e.id IS NULL OR (NOT a.suppressed AND e.state <> 'paused'))
) due ORDER BY rank, turn, created_at, id LIMIT %s
"""
_URGENCIES = sorted(RANK, key=RANK.__getitem__)


class Due(NamedTuple):
    """A page to try, and by which lane."""

    pk: int
    lane: str
    deadline: datetime


def due(*, now: datetime, limit: int) -> list[Due]:
    """Pages to try: the most urgent first, then in turn by component, then the oldest. A claim whose lease ran out is
    due as well; pages of suppressed alerts are not."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [_URGENCIES, now, limit])
        return [Due(pk, f"{kind}:{place}" if place else kind, until) for pk, kind, place, until in cursor]


def due_ids(*, now: datetime, limit: int) -> list[int]:
    """Their ids alone."""
    return [one.pk for one in due(now=now, limit=limit)]


def put_off(page_id: int, *, until: datetime, now: datetime) -> None:
    """Its lane is shut: it waits, and its person's next way is tried at once."""
    page = Page.objects.select_related("escalation", "alert").get(pk=page_id)
    moved = Page.objects.filter(pk=page_id, state=PageState.PENDING, next_try_at__lte=now).update(
        next_try_at=max(min(until, page.deadline), now + timedelta(seconds=1)),
        failure="The provider has been failing; tried again soon.",
    )
    if moved:
        _next_way(page, now)


@transaction.atomic
def claim(page_id: int, *, now: datetime, carrier: Page | None = None) -> Page | None:
    """Take a page for one try, or None: somebody else has it, or its alert is suppressed or no longer triggered. With
    a carrier it goes in that page's message, before its own time.

    The alert is read FOR SHARE in a statement of its own: a condition inside the UPDATE would be judged by
    that statement's snapshot, and an acknowledgement that committed while it waited would be missed.
    """
    page = Page.objects.filter(pk=page_id).values("alert_id", "epoch", "escalation_id").first()
    if page is None:
        return None
    if page["escalation_id"]:
        suppressed = _suppressed_while_triggered(page["alert_id"], page["epoch"])
        if suppressed is None:
            cancel_pages_of(page_id, now=now)
        if suppressed is not False or _paused(page["escalation_id"]):
            return None
    due = Q(state=PageState.PENDING) if carrier else Q(state=PageState.PENDING, next_try_at__lte=now)
    free = due | Q(state=PageState.CLAIMED, lease_until__lt=now)
    lease_until = now + timedelta(seconds=delivery.LEASE_S)
    taken = Page.objects.filter(free, pk=page_id).update(
        state=PageState.CLAIMED, token=F("token") + 1, attempts=F("attempts") + 1, lease_until=lease_until,
        next_try_at=lease_until, carrier=carrier,
    )  # fmt: skip
    return (
        links.attach(Page.objects.select_related("channel", "alert").get(pk=page_id), now=now)
        if taken
        else None
    )


def _suppressed_while_triggered(alert_id: int, epoch: int) -> bool | None:
    """Whether a reason holds the page back, which then waits; None when the alert is no longer triggered."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT suppressed FROM alerts_alert WHERE id = %s AND state = %s AND epoch = %s FOR SHARE",
            [alert_id, AlertState.TRIGGERED, epoch],
        )
        found = cursor.fetchone()
        return bool(found[0]) if found else None


def _paused(run_id: int | None) -> bool:
    """Asked after the alert's row is held, which whoever pauses a run has locked first."""
    return Escalation.objects.filter(pk=run_id or 0, state=EscalationState.PAUSED).exists()


def cancel_pages_of(page_id: int, *, now: datetime) -> None:
    """Cancel one page that nobody is sending."""
    waiting = Q(state=PageState.PENDING) | Q(state=PageState.CLAIMED, lease_until__lt=now)
    Page.objects.filter(waiting, pk=page_id).update(state=PageState.CANCELLED)


# --- Recording ----------------------------------------------------------------------------------------------
def record_result(page: Page, receipt: Receipt, *, started_at: datetime, now: datetime) -> str:
    """Keep the receipt and what follows from it; the page's new state, or "late" when the claim was lost
    meanwhile."""
    links.detach(page)
    state = _record(page, receipt, started_at, now)
    if state == PageState.FAILED and page.escalation_id:
        _hurry(page, now)
    return state


@transaction.atomic
def _record(page: Page, receipt: Receipt, started_at: datetime, now: datetime) -> str:
    tried = delivery.Tried(
        page.attempts,
        page.created_at,
        page.deadline,
        page.escalation_id is not None,
        bool(page.data.get("plain")),
    )
    step = delivery.after(receipt.outcome, tried, receipt.retry_after_s, now, random.random())  # noqa: S311
    changes: dict[str, Any] = {"state": step.state, "next_try_at": step.next_try_at, "lease_until": None}
    changes["failure"] = "" if step.state == PageState.SENT else receipt.error[:300]
    if step.state == PageState.SENT:
        changes["sent_at"] = now
    if step.plain:
        changes["data"] = {**page.data, "plain": True}
    held = Page.objects.filter(pk=page.pk, token=page.token, state=PageState.CLAIMED).update(**changes)
    _keep_receipt(page, receipt, started_at, now)
    if not held:
        return "late"
    if step.fail_over:
        _next_way(page, now)
    _note_on_address(page, receipt, step, now)
    if step.state != PageState.PENDING:
        _tell(page, step.state, receipt, now)
    return step.state


def _keep_receipt(page: Page, receipt: Receipt, started_at: datetime, now: datetime) -> None:
    Attempt.objects.create(
        page=page, n=page.attempts, token=page.token, started_at=started_at, ended_at=now,
        outcome=receipt.outcome, http_status=receipt.http_status, provider_id=receipt.provider_id[:200],
        retry_after_s=receipt.retry_after_s, error=receipt.error[:300],
    )  # fmt: skip


def _next_way(page: Page, now: datetime) -> None:
    """The person's next contact method, at once; once per step however often this is reached."""
    ways = [escalation.target_of(way) for way in page.data.get("then", ())]
    if not ways or page.escalation is None or page.alert is None:
        return
    target = replace(ways[0], then=tuple(ways[1:]))
    told = messages.Told(
        page.subject, page.body, {k: v for k, v in page.data.items() if k not in ("then", "plain")}
    )
    deadline = max(page.deadline, now + timedelta(seconds=delivery.MIN_LIFE_S))
    insert([row_for(page.escalation, page.alert, target, told, deadline=deadline, now=now,
                    step=page.step, cycle=page.cycle, urgency=page.urgency)])  # fmt: skip


def lose(page: Page, error: str, *, now: datetime) -> None:
    """A provider that had taken the page says later that it did not arrive: the person's next way begins at once."""
    out = Q(state=PageState.SENT) | Q(state=PageState.CLAIMED)
    if Page.objects.filter(out, pk=page.pk).update(
        state=PageState.FAILED, failure=error[:300], lease_until=None
    ):
        _next_way(page, now)
        _tell(page, PageState.FAILED, Receipt(delivery.PERMANENT, error), now)


def _note_on_address(page: Page, receipt: Receipt, step: delivery.Next, now: datetime) -> None:
    """What people see beside the channel or the contact method: last sent, last failed, broken since."""
    if receipt.outcome == delivery.SENT:
        Channel.objects.filter(pk=page.channel_id or 0).update(last_sent_at=now, broken_since=None)
        return
    failed = {"last_failed_at": now, "last_failure": receipt.error[:300]}
    Channel.objects.filter(pk=page.channel_id or 0).update(**failed)
    ContactMethod.objects.filter(pk=page.contact_method_id or 0).update(**failed)
    newly = step.broken and Channel.objects.filter(pk=page.channel_id or 0, broken_since=None).update(
        broken_since=now
    )
    if newly and page.channel is not None:
        audit.record(
            "channel.broken", resource=page.channel, category=Category.SYSTEM, outcome=Outcome.ERROR,
            details={"error": receipt.error},
        )  # fmt: skip
        _tell_the_owner(page, receipt.error, now)


def _tell_the_owner(page: Page, error: str, now: datetime) -> None:
    """A notice to the fallback of the run's plan: somebody must mend the channel."""
    if page.escalation is None:
        return
    for target in escalation.plan_of(page.escalation.plan).fallback:
        key = key_of("broken", page.channel_id, int(now.timestamp()), target.kind, target.address)
        notice(key=key, target=target, told=messages.broken(page.target_label, error), now=now)


def _tell(page: Page, state: str, receipt: Receipt, now: datetime) -> None:
    """Audit and, with an incident, one entry of its timeline."""
    good = state == PageState.SENT
    audit.record(
        f"page.{state}", resource=page, category=Category.SYSTEM,
        outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
        details={"try": page.attempts, "kind": page.kind, "error": receipt.error},
    )  # fmt: skip
    alert = page.alert
    if alert is None or alert.incident is None or page.escalation_id is None:
        return
    late = good and alert.state != AlertState.TRIGGERED
    text = f"Page to {page.target_label} by {page.kind} " + (
        f"sent{' after acknowledgement' if late else ''}"
        if good
        else f"failed: {receipt.error or receipt.outcome}"
    )
    incidents.add_entry(
        incident=alert.incident, action=f"page.{state}", text=text, at=now, tone="neutral" if good else "bad",
        data={"page": page.pk, "try": page.attempts},
    )  # fmt: skip


def _hurry(page: Page, now: datetime) -> None:
    """If everything that the run has made so far failed, its next step is due now: waiting would reach
    nobody.

    In a transaction of its own, since escalations are locked before pages.
    """
    alive = Page.objects.filter(escalation=page.escalation_id).exclude(state=PageState.FAILED)
    if not alive.exists():
        Escalation.objects.filter(
            pk=page.escalation_id or 0, state=EscalationState.ACTIVE, next_at__gt=now
        ).update(next_at=now)
