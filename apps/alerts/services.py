"""What happens to alerts: triggered, acknowledged, resolved; of one alert or of a whole incident.

Acknowledging and resolving stop paging, so they live here and call the incidents room downward. Lock order:
alert, escalation, page, incident.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.alerts import acks, outbox, paging
from apps.alerts.models import Alert, AlertRule, AlertState, EscalationPolicy, Integration
from apps.alerts.suppression import bundles, flapping, muting, reasons
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.severity import RANK, Severity
from apps.incidents import services as incidents
from apps.incidents.models import Incident
from apps.projects.models import Component, Project

NOT_SOURCES = ("admin", "api", "slack", "sms", "link", "incident", "drill", flapping.STABLE)


_ACKNOWLEDGED = ("state", "acked_at", "acked_by", "acked_via", "acked_user", "returns_at", "snoozed")


class StaleEpoch(ValidationError):
    """The alert was triggered again since the caller looked at it."""


@dataclass(frozen=True)
class Fired:
    """What fired. `key` is the deduplication key; `incident` is given for one that people opened by hand.

    Within `reopen_within_s` of its end the same alert fires again; with 0 that is always a new one.
    """

    key: str
    title: str
    severity: str
    project: Project
    component: Component | None = None
    sentence: str = ""
    rule: AlertRule | None = None
    integration: Integration | None = None
    policy: EscalationPolicy | None = None
    value: float | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    first_seen_at: datetime | None = None
    incident: Incident | None = None
    opens_incident: bool = True
    reopen_within_s: int = 0
    is_drill: bool = False


@dataclass(frozen=True)
class Act:
    """Who acknowledges or resolves: name in words, the user if it is one, by which door, when."""

    by: str
    at: datetime
    via: str = "admin"
    actor: Any = None

    @property
    def by_source(self) -> bool:
        """Whether the source itself says so, rather than a person, an incident that ended, or the end of flapping."""
        return self.actor is None and self.via not in NOT_SOURCES


# --- Triggering ---------------------------------------------------------------------------------------------
@transaction.atomic
def trigger(*, fired: Fired, now: datetime, actor: Any = None) -> Alert:
    """Open an alert, or count one more on the alert that is open for this key. A rise in severity pages anew."""
    for _ in range(3):
        held = _locked(Alert.objects.open().filter(dedup_key=fired.key)).first()
        if held is not None:
            return _repeat(held, fired, now, actor)
        alert = _reopened(fired, now) or _insert(fired, now)
        if alert is not None:
            _announce(alert, fired, now, actor)
            return alert
    raise ValidationError(f"The alert {fired.key} is opened and resolved faster than it can be counted.")


def _locked(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    """Rows locked in key order. NO KEY: the foreign keys of pages being made need not wait for us, nor we for them."""
    return alerts.order_by("pk").select_for_update(no_key=True)


def _insert(fired: Fired, now: datetime) -> Alert | None:
    """The new row, or None when another worker's came first: the database allows one open alert per key."""
    alert = Alert(
        dedup_key=fired.key[:255], rule=fired.rule, integration=fired.integration, policy=fired.policy,
        project=fired.project,
        component=fired.component, incident=fired.incident, title=fired.title[:200], sentence=fired.sentence,
        severity=fired.severity, value=fired.value, labels=dict(fired.labels),
        first_seen_at=fired.first_seen_at or now, triggered_at=now, last_seen_at=now,
        is_drill=fired.is_drill,
    )  # fmt: skip
    try:
        with transaction.atomic():
            alert.save(force_insert=True)
    except IntegrityError:
        return None
    return alert


def _reopened(fired: Fired, now: datetime) -> Alert | None:
    """The alert of this key that ended within the reopening window, firing again in a new episode; else None.

    An incident that ended meanwhile stays with the people who ended it: the alert joins or opens another.
    """
    if not fired.reopen_within_s:
        return None
    since = now - timedelta(seconds=fired.reopen_within_s)
    ended = Alert.objects.filter(dedup_key=fired.key[:255], state=AlertState.RESOLVED, resolved_at__gte=since)
    newest = ended.order_by("-resolved_at").values("pk")[:1]
    alert = _locked(Alert.objects.filter(pk__in=newest, state=AlertState.RESOLVED)).first()
    if alert is None:
        return None
    alert.state, alert.epoch, alert.count = AlertState.TRIGGERED, alert.epoch + 1, alert.count + 1
    alert.severity, alert.value, alert.sentence = (
        fired.severity,
        fired.value,
        fired.sentence or alert.sentence,
    )
    alert.policy, alert.triggered_at, alert.last_seen_at = fired.policy, now, now
    alert.acked_at, alert.acked_by, alert.acked_via = None, "", ""
    alert.resolved_at, alert.resolved_by, alert.resolved_via = None, "", ""
    if alert.incident is not None and not alert.incident.is_open:
        alert.incident = None
    try:
        with transaction.atomic():
            alert.save()
    except IntegrityError:
        return None
    return alert


def _announce(alert: Alert, fired: Fired, now: datetime, actor: Any) -> None:
    if alert.incident is None and fired.opens_incident:
        alert.incident = _join_or_open(alert, now)
        alert.save(update_fields=["incident"])
    verb, word = ("reopen", "Alert again") if alert.epoch > 1 else ("trigger", "Alert")
    audit.record(
        f"alert.{verb}", resource=alert, category=Category.SYSTEM, actor=actor,
        details={"key": alert.dedup_key, "severity": alert.severity, "sentence": alert.sentence},
    )  # fmt: skip
    _entry(alert, f"alert.{verb}", f"{word}: {alert.title}. {alert.sentence}".strip(), now, tone="bad")
    recount(incident=alert.incident)
    muting.evaluate_one(alert=alert, now=now)  # before it pages
    bundles.bundle(alert=alert, now=now)
    if alert.policy is not None:
        paging.start_escalation(alert=alert, policy=alert.policy, now=now)
    elif fired.rule is not None:
        _entry(alert, "alert.nobody", "The rule has no escalation policy: nobody is paged", now, tone="bad")
    elif fired.integration is not None:
        _entry(alert, "alert.nobody", f"{fired.integration} pages nobody for this", now)


def _join_or_open(alert: Alert, now: datetime) -> Incident:
    """The open incident of the same component, locked so that nobody resolves it meanwhile; else a new one.

    One failure passes several rules; people want one place to work in.
    """
    component = alert.component
    if component is not None:
        same = Incident.objects.open().filter(project=alert.project, components=component)
        found = Incident.objects.open().filter(pk__in=same.values("pk")).order_by("-began_at")
        joined = found.select_for_update(no_key=True).first()
        if joined is not None:
            return joined
    return incidents.open_incident(
        title=alert.title, project=alert.project, severity=alert.severity,
        components=[component] if component else [], began_at=min(alert.first_seen_at, now), detected_at=now,
        summary=alert.sentence, opened_by=_source(alert), now=now,
    )  # fmt: skip


def _source(alert: Alert) -> str:
    """What opened it, in words."""
    if alert.rule is not None:
        return f"rule: {alert.rule}"
    return f"integration: {alert.integration}" if alert.integration is not None else "alert"


def _repeat(alert: Alert, fired: Fired, now: datetime, actor: Any) -> Alert:
    rises = RANK[Severity(fired.severity)] < RANK[Severity(alert.severity)]
    alert.count += 1
    alert.last_seen_at, alert.value = now, fired.value
    alert.sentence = fired.sentence or alert.sentence
    if rises:
        alert.severity, alert.state, alert.epoch = fired.severity, AlertState.TRIGGERED, alert.epoch + 1
        alert.policy = alert.policy or fired.policy  # below the severity that pages it had none
        alert.triggered_at, alert.acked_at, alert.acked_by, alert.acked_via = now, None, "", ""
    alert.save()
    if alert.suppressed:
        flapping.fires_again(alert, now=now)
    if rises:
        _stop_paging([alert.pk], now)
        audit.record(
            "alert.rise",
            resource=alert,
            category=Category.SYSTEM,
            actor=actor,
            details={"to": alert.severity},
        )
        _entry(alert, "alert.rise", f"Alert rose to {alert.severity}: {alert.title}", now, tone="bad")
        bundles.take_out(alert=alert, now=now)  # what it was bundled under is less severe now
        muting.evaluate_one(alert=alert, now=now)
        if alert.policy is not None:
            paging.start_escalation(alert=alert, policy=alert.policy, now=now)
    return alert


@transaction.atomic
def still_firing(*, alert: Alert, value: float | None, now: datetime) -> None:
    """What a rule sees of an alert that is suppressed: if it flaps, it is no longer on its way to quiet."""
    held = _locked(Alert.objects.open().filter(pk=alert.pk)).first()
    if held is not None:
        flapping.fires_again(held, now=now)
        Alert.objects.filter(pk=held.pk).exclude(value=value).update(value=value, last_seen_at=now)


# --- Acknowledging and resolving one alert ------------------------------------------------------------------
@transaction.atomic
def acknowledge(*, alert: Alert, act: Act, epoch: int | None = None) -> bool:
    """Stop the paging of an alert and of those under it. True if this changed it; a second time it is a success
    without change.

    StaleEpoch when `epoch` is given and the alert was triggered again since.
    """
    rows = {row.pk: row for row in _locked(_with_children(Alert.objects.filter(pk=alert.pk)))}
    held = rows[alert.pk]
    _refuse_stale(held, epoch)
    if held.state != AlertState.TRIGGERED:
        return False
    if _still_needs_others(held, act):
        return True
    _acknowledge([row for row in rows.values() if row.state == AlertState.TRIGGERED], act)
    first = held.incident is not None and incidents.acknowledge(
        incident=held.incident, by=act.by, at=act.at, actor=act.actor, via=act.via
    )
    if not first:
        _entry(
            held,
            "alert.acknowledge",
            f"Alert acknowledged by {act.by} via {act.via}: {held.title}",
            act.at,
            act,
        )
    return True


@transaction.atomic
def resolve(*, alert: Alert, act: Act, epoch: int | None = None) -> bool:
    """End an alert and its paging; its incident stays for people. True if this changed it.

    What a source resolves of an alert that flaps is held back until it is quiet.
    """
    held = _locked(Alert.objects.filter(pk=alert.pk)).get()
    _refuse_stale(held, epoch)
    if held.state == AlertState.RESOLVED:
        return False
    if act.by_source and flapping.holds_back(held, now=act.at):
        return False
    _resolve([held], act)
    _entry(
        held,
        "alert.resolve",
        f"Alert resolved by {act.by} via {act.via}: {held.title}",
        act.at,
        act,
        tone="good",
    )
    recount(incident=held.incident)
    return True


def _with_children(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    """And the alerts that are bundled or merged under them."""
    ids = list(alerts.values_list("pk", flat=True))
    return Alert.objects.filter(pk__in=[*ids, *bundles.children_of(ids)])


def _refuse_stale(alert: Alert, epoch: int | None) -> None:
    if epoch is not None and epoch != alert.epoch:
        raise StaleEpoch({"epoch": f"Triggered again since: this is episode {alert.epoch}, not {epoch}."})


def user_of(act: Act) -> Any:
    """The user who acts; None for a token, a rule, the portal itself."""
    return act.actor if isinstance(act.actor, get_user_model()) else None


def _still_needs_others(alert: Alert, act: Act) -> bool:
    """Count this person's word; True if a step asks more people for theirs."""
    user = user_of(act)
    needed = acks.add(alert, user, via=act.via, at=act.at) if user is not None else []
    if not needed:
        return False
    said = f"{act.by} acknowledged via {act.via}: {alert.title}. Still needed: {', '.join(needed)}"
    _entry(alert, "alert.acknowledge_one", said, act.at, act)
    audit.record("alert.acknowledge_one", resource=alert, actor=act.actor, details={"needed": needed})
    return True


def _acknowledge(held: list[Alert], act: Act) -> None:
    policies = {alert.policy_id for alert in held if alert.policy_id}
    expiries = EscalationPolicy.objects.filter(pk__in=policies, ack_expiry_min__isnull=False)
    minutes = dict(expiries.values_list("pk", "ack_expiry_min")) if policies else {}
    for alert in held:
        alert.state, alert.acked_at = AlertState.ACKNOWLEDGED, act.at
        alert.acked_by, alert.acked_via, alert.acked_user = act.by[:150], act.via[:16], user_of(act)
        last = minutes.get(alert.policy_id or 0)
        alert.returns_at, alert.snoozed = act.at + timedelta(minutes=last) if last else None, False
        alert.save(update_fields=_ACKNOWLEDGED)
    _stop_paging([alert.pk for alert in held], act.at)
    for alert in held:
        audit.record(
            "alert.acknowledge", resource=alert, actor=act.actor, details={"via": act.via, "by": act.by}
        )
        outbox.notify_acknowledged(alert, now=act.at)


def _resolve(held: list[Alert], act: Act) -> None:
    for alert in held:
        alert.state, alert.resolved_at = AlertState.RESOLVED, act.at
        alert.resolved_by, alert.resolved_via = act.by[:150], act.via[:16]
        alert.save(update_fields=["state", "resolved_at", "resolved_by", "resolved_via"])
    _stop_paging([alert.pk for alert in held], act.at)
    for alert in held:
        audit.record("alert.resolve", resource=alert, actor=act.actor, details={"via": act.via, "by": act.by})
        if act.via != flapping.STABLE:
            outbox.notify_resolved(alert, now=act.at, actor=act.actor)
    reasons.ended([alert.pk for alert in held], now=act.at)


def _stop_paging(alert_ids: list[int], now: datetime) -> None:
    paging.stop_escalations(alert_ids)
    outbox.cancel_pages(alert_ids, now=now)


# --- Acknowledging and resolving an incident ----------------------------------------------------------------
@transaction.atomic
def acknowledge_incident(*, incident: Incident, act: Act) -> bool:
    """Take an incident: all its firing alerts are acknowledged, nobody else is paged. True if anything changed."""
    firing = _with_children(incident.alerts.filter(state=AlertState.TRIGGERED))
    held = list(_locked(firing.filter(state=AlertState.TRIGGERED)))
    waiting = [alert for alert in held if _still_needs_others(alert, act)]
    _acknowledge([alert for alert in held if alert not in waiting], act)
    if waiting:  # the incident is taken when its last alert is
        return True
    first = incidents.acknowledge(incident=incident, by=act.by, at=act.at, actor=act.actor, via=act.via)
    if held and not first:
        text = f"{len(held)} further alerts acknowledged by {act.by} via {act.via}"
        _entry(held[0], "alert.acknowledge", text, act.at, act)
    return bool(held) or first


@transaction.atomic
def resolve_incident(*, incident: Incident, act: Act) -> bool:
    """The failure is over: the incident and all its open alerts are resolved. True if anything changed."""
    held = list(_locked(Alert.objects.open().filter(incident=incident)))
    _resolve(held, act)
    recount(incident=incident)
    first = incidents.mark_resolved(incident=incident, by=act.by, at=act.at, actor=act.actor, via=act.via)
    return bool(held) or first


@transaction.atomic
def move_incident(
    *, incident: Incident, actor: Any, now: datetime, via: str = "api", **move: Any
) -> Incident:
    """A transition as apps.incidents.services.move makes it, with what it refuses; where it ends the incident its
    alerts end with it. They are held first, so that nobody pages for one between the two."""
    held = list(_locked(Alert.objects.open().filter(incident=incident)))
    moved = incidents.move(incident=incident, actor=actor, now=now, **move)
    if held and not moved.is_open:
        _resolve(held, Act(by=actor.get_username(), at=now, via=via, actor=actor))
        recount(incident=moved)
        moved.refresh_from_db()
    return moved


@transaction.atomic
def acknowledge_incidents(*, incidents_: Iterable[Incident], act: Act, reason: str) -> int:
    """Take several at once, with a reason that goes into each timeline. Number of incidents that changed."""
    if not reason.strip():
        raise ValidationError({"reason": "Say why these are acknowledged together."})
    changed = 0
    for incident in sorted(incidents_, key=lambda one: one.pk):
        if acknowledge_incident(incident=incident, act=act):
            changed += 1
            incidents.add_entry(
                incident=incident, action="incident.note", text=f"Acknowledged together: {reason.strip()}",
                kind="human", at=act.at, actor=act.actor,
            )  # fmt: skip
    return changed


# --- In the incident ------------------------------------------------------------------------------------
def recount(*, incident: Incident | None) -> None:
    """Keep the incident's counter of open alerts."""
    if incident is not None:
        incidents.count_alerts(
            incident=incident, open_alerts=Alert.objects.open().filter(incident=incident).count()
        )


def _entry(
    alert: Alert, action: str, text: str, at: datetime, act: Act | None = None, tone: str = "neutral"
) -> None:
    """One line in the timeline of the alert's incident, if it has one."""
    if alert.incident is None:
        return
    actor = act.actor if act else None
    incidents.add_entry(
        incident=alert.incident, action=action, text=text, kind="human" if actor else "machine", at=at,
        tone=tone, actor=actor, data={"alert": alert.pk, "epoch": alert.epoch},
    )  # fmt: skip
