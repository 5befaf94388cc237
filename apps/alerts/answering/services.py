"""What somebody who was paged may do without signing in: each act once, bound to the episode that the page was of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F

from apps.alerts import escalation, messages, outbox, services
from apps.alerts.answering import links
from apps.alerts.delivery import page_deadline
from apps.alerts.escalation import Plan, Stop, Target
from apps.alerts.models import (
    Alert,
    AlertState,
    AnswerLink,
    Escalation,
    EscalationState,
    Page,
    PageState,
)
from apps.alerts.services import Act, StaleEpoch
from apps.audit import services as audit
from apps.core.ticks import wake
from apps.incidents import services as incidents

RESOLVE_PERMISSION = "alerts.acknowledge_alert"
VIA = "link"


class LinkEnded(ValidationError):
    """Past its time, or its person is no longer active."""


class LinkUsed(ValidationError):
    """It has acted once already."""


@dataclass(frozen=True)
class Answered:
    """What was done, in a sentence; whether it changed anything."""

    said: str
    changed: bool


# --- The acts ---------------------------------------------------------------------------------------------------
@transaction.atomic
def answer(*, link: AnswerLink, verb: str, now: datetime) -> Answered:
    """Act once by a link. Raises LinkEnded, LinkUsed, StaleEpoch, PermissionDenied, ValidationError for a verb.

    The link's row is held first, so that a doubled click acts once.
    """
    rows = AnswerLink.objects.select_for_update(of=("self",), no_key=True)
    held = rows.select_related("user", "channel").get(pk=link.pk)
    refuse(held, now)
    if verb not in VERBS:
        raise ValidationError({"verb": f"Unknown. Known: {', '.join(VERBS)}."})
    act = Act(by=links.holder(held), at=now, via=VIA, actor=held.user)
    answered = VERBS[verb](held, act)
    if answered.changed:
        AnswerLink.objects.filter(pk=held.pk, used_at=None).update(used_at=now, used_for=verb)
    return answered


def refuse(link: AnswerLink, now: datetime) -> None:
    """Why a link may not act by itself, whatever the alert."""
    if now >= link.expires_at or (link.user is not None and not link.user.is_active):
        raise LinkEnded("This link has ended. Sign in to act.")
    if link.used_at is not None:
        raise LinkUsed("This link has acted already. Sign in to do more.")


def may_resolve(link: AnswerLink) -> bool:
    """Whoever was paged may take it; ending it needs the role."""
    return bool(link.user is not None and link.user.has_perm(RESOLVE_PERMISSION))


def _acknowledge(link: AnswerLink, act: Act) -> Answered:
    if services.acknowledge(alert=link.alert, act=act, epoch=link.epoch):
        return Answered("It is yours: nobody else is paged.", True)
    return Answered("Somebody has it already.", False)


def _resolve(link: AnswerLink, act: Act) -> Answered:
    if not may_resolve(link):
        raise PermissionDenied("Resolve: the role for this is missing.")
    if services.resolve(alert=link.alert, act=act, epoch=link.epoch):
        return Answered("Resolved.", True)
    return Answered("It had been resolved already.", False)


def _escalate(link: AnswerLink, act: Act) -> Answered:
    return page_next(alert=link.alert, epoch=link.epoch, act=act, declined=False)


def _decline(link: AnswerLink, act: Act) -> Answered:
    return page_next(alert=link.alert, epoch=link.epoch, act=act, declined=True)


VERBS: dict[str, Callable[[AnswerLink, Act], Answered]] = {
    "acknowledge": _acknowledge, "escalate": _escalate, "decline": _decline, "resolve": _resolve,
}  # fmt: skip


# --- Paging the next ----------------------------------------------------------------------------------------
@transaction.atomic
def page_next(*, alert: Alert, epoch: int, act: Act, declined: bool) -> Answered:
    """The next who is not the one who asks is paged now, or the fallback where nobody comes after; the alert stays
    open. With `declined` what still waits for the one who asks is cancelled. Raises StaleEpoch.
    """
    held = Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)
    if held.epoch != epoch:
        raise StaleEpoch({"epoch": f"Triggered again since: this is episode {held.epoch}, not {epoch}."})
    if held.state != AlertState.TRIGGERED:
        return Answered("Somebody has it already: nobody is paged any more.", False)
    run = Escalation.objects.select_for_update(no_key=True).filter(alert=held, epoch=epoch).first()
    if run is None or run.state in (EscalationState.PAUSED, EscalationState.STOPPED):
        return Answered("Nobody is being paged for this now.", False)
    if declined and act.actor is not None:
        waiting = Page.objects.filter(alert=held, user=act.actor, escalation=run, state=PageState.PENDING)
        waiting.update(state=PageState.CANCELLED)
    said = _hurry(run, held, act)
    _tell(held, act, declined, said)
    return Answered(said, True)


def _hurry(run: Escalation, alert: Alert, act: Act) -> str:
    """Make the next step due, or page the fallback; whom, in a sentence."""
    made, asks = escalation.plan_of(run.plan), act.actor.pk if act.actor else None
    stop = _next_for_others(run, made, asks)
    if stop is not None:
        Escalation.objects.filter(pk=run.pk).update(
            step=stop.step, cycle=stop.cycle, next_at=act.at, version=F("version") + 1
        )
        wake("alerts.escalate")
        return f"Paging {_names(made.steps[stop.step].in_round(stop.cycle), asks)} now."
    fallback = tuple(target for target in made.fallback if target.user_id != asks)
    if not fallback:
        return "Nobody comes after you: tell somebody yourself."
    if Page.objects.filter(
        escalation=run, step=len(made.steps), address__in=[t.address for t in fallback]
    ).exists():
        return f"Nobody comes after you, and the fallback {_names(fallback, asks)} was paged already."
    told = messages.page(alert, run, messages.url_of(alert))
    deadline = page_deadline(act.at, act.at)
    outbox.insert(
        [
            outbox.row_for(run, alert, target, told, deadline=deadline, now=act.at, step=len(made.steps))
            for target in fallback
        ]
    )
    return f"Nobody comes after you: paging the fallback {_names(fallback, asks)} now."


def _next_for_others(run: Escalation, made: Plan, asks: int | None) -> Stop | None:
    """The next step that pages somebody else than the one who asks; None where only the end is left."""
    if run.state != EscalationState.ACTIVE:
        return None
    here = Stop(run.cycle, run.step, 0, closing=run.step >= len(made.steps))
    while not here.closing:
        targets = made.steps[here.step].in_round(here.cycle)
        if any(target.user_id is None or target.user_id != asks for target in targets):
            return here
        here = escalation.next_stop(made, here.cycle, here.step)
    return None


def _names(targets: tuple[Target, ...], asks: int | None) -> str:
    found = [target.label for target in targets if target.user_id is None or target.user_id != asks]
    return ", ".join(dict.fromkeys(found)) or "the next"


def _tell(alert: Alert, act: Act, declined: bool, said: str) -> None:
    verb, words = ("decline", "cannot take it") if declined else ("escalate", "asked for the next")
    audit.record(
        f"alert.{verb}", resource=alert, actor=act.actor, details={"via": act.via, "by": act.by, "said": said}
    )
    if alert.incident is not None:
        kind, data = "human" if act.actor else "machine", {"alert": alert.pk, "epoch": alert.epoch}
        incidents.add_entry(
            incident=alert.incident, action=f"alert.{verb}", text=f"{act.by} {words} via {act.via}. {said}", at=act.at,
            kind=kind, tone="bad" if declined else "neutral", actor=act.actor, data=data,
        )  # fmt: skip
