"""What the phone page shows: what is wrong, since when, who else was paged, who is next, and what may be done."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.alerts import escalation, messages
from apps.alerts.answering import links, services
from apps.alerts.models import Alert, AlertState, AnswerLink, Escalation, EscalationState, Page, PersonZone
from apps.core import wording

MOST_NAMED = 6
_DONE = {
    "acknowledge": "{} acknowledged it", "escalate": "{} asked for the next", "decline": "{} could not take it",
    "resolve": "{} resolved it",
}  # fmt: skip


def zone_of(link: AnswerLink) -> ZoneInfo:
    """Where its person lives by the clock, else the portal's zone."""
    own = PersonZone.objects.filter(user=link.user_id or 0).first()
    return ZoneInfo(own.zone if own else settings.PORTAL_TIME_ZONE)


def context_of(
    link: AnswerLink, token: str, *, now: datetime, said: str = "", said_ok: bool = True
) -> dict[str, Any]:
    """For portal/acknowledge.html. `said` is what was just refused; else what the link did is said."""
    alert = link.alert
    words, good = (said, said_ok) if said else _said(link, now)
    return {
        "number": alert.incident.number if alert.incident else f"Alert {alert.pk}",
        "title": alert.title, "sentence": alert.sentence if alert.sentence != alert.title else "",
        "severity": alert.severity, "now": now, "facts": _facts(link, now), "verbs": _verbs(link, token, now),
        "token": "", "said": words, "said_ok": good, "runbook": None, "incident_url": messages.url_of(alert),
    }  # fmt: skip


def _clock(at: datetime, now: datetime) -> str:
    return wording.clock_words(at, now, timezone.get_current_timezone())


def _said(link: AnswerLink, now: datetime) -> tuple[str, bool]:
    """What was done by this link, or why it can do nothing."""
    if link.used_at is not None:
        done = _DONE.get(link.used_for, "{} acted").format(links.holder(link))
        return f"{done} by this link at {_clock(link.used_at, now)}.", True
    if link.alert.epoch != link.epoch:
        return "Triggered again since: a newer page has its own link. This one does nothing.", False
    if now >= link.expires_at:
        return "This link has ended. Sign in to act.", False
    return "", True


def _facts(link: AnswerLink, now: datetime) -> list[dict[str, Any]]:
    alert = link.alert
    where = " / ".join(str(part) for part in (alert.project, alert.component) if part)
    rows: list[dict[str, Any]] = [
        {"label": "Where", "value": where},
        {"label": "Since", "at": alert.triggered_at},
        {"label": "State", "value": _state(alert, now)},
        {"label": "Paged", "value": _paged(link)},
    ]
    if alert.state == AlertState.TRIGGERED:
        rows.append({"label": "Next page", "value": _next(alert, now)})
    return rows


def _state(alert: Alert, now: datetime) -> str:
    if alert.state == AlertState.RESOLVED and alert.resolved_at:
        return f"Resolved by {alert.resolved_by}, {_clock(alert.resolved_at, now)}"
    if alert.state == AlertState.ACKNOWLEDGED and alert.acked_at:
        return f"{alert.acked_by} has it, {_clock(alert.acked_at, now)}"
    return "Nobody has it"


def _paged(link: AnswerLink) -> str:
    """Who was paged in this episode, the one who reads this left out."""
    pages = Page.objects.filter(alert=link.alert_id, epoch=link.alert.epoch, escalation__isnull=False)
    others = pages.exclude(pk=link.page_id)
    if link.user_id:
        others = others.exclude(user=link.user_id)
    names = list(dict.fromkeys(others.order_by("id").values_list("target_label", flat=True)[:200]))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(["you", *names[:MOST_NAMED]]) + more


def _next(alert: Alert, now: datetime) -> str:
    run = Escalation.objects.filter(alert=alert, epoch=alert.epoch).first()
    if run is None or run.state != EscalationState.ACTIVE:
        paused = run is not None and run.state == EscalationState.PAUSED
        return "paused" if paused else "none: every step was run"
    made = escalation.plan_of(run.plan)
    if run.step >= len(made.steps):
        return "none: every step was run"
    whom = ", ".join(dict.fromkeys(t.label for t in made.steps[run.step].in_round(run.cycle)))
    return f"{whom or 'nobody'} {wording.ago_words(max(run.next_at, now), now).replace('just now', 'now')}"


def _verbs(link: AnswerLink, token: str, now: datetime) -> list[dict[str, str]]:
    """Only what would be taken: none once it was used, ended or is stale."""
    alert = link.alert
    gone = link.used_at is not None or now >= link.expires_at or alert.epoch != link.epoch
    if gone or alert.state == AlertState.RESOLVED:
        return []
    offered = []
    if alert.state == AlertState.TRIGGERED:
        offered += [
            ("acknowledge", "Acknowledge", "paging stops", "primary"),
            ("escalate", "Escalate now", "the next too", "plain"),
            ("decline", "I can't", "page the next", "plain"),
        ]
    if services.may_resolve(link):
        offered.append(("resolve", "Resolve", "it is over", "plain"))
    return [
        {"label": label, "consequence": consequence, "url": f"/answer/{token}/{verb}", "tone": tone}
        for verb, label, consequence, tone in offered
    ]
