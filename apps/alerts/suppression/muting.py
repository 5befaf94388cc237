"""The stored reasons brought in line with what people wrote: at each tick, on every save, and as an alert fires.

Nothing here remembers when a window was to begin or end: the present instant is judged anew each time, so a window
that was started, ended or edited at any time gives what continuous evaluation gives.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import connection, transaction

from apps.alerts.models import Alert, AlertSuppression, Suppression
from apps.alerts.suppression import decide, matchers, occurrences, reasons
from apps.alerts.suppression.decide import Muted, Written
from apps.alerts.suppression.reasons import Reason

log = structlog.get_logger("portal.alerts")
_LOCK = 0x5355_5050  # evaluations of everything follow one another; SUPP


def labels_of(alert: Alert) -> dict[str, str]:
    """An alert as matchers see it. The portal's own labels win over the sender's of the same name."""
    own = {
        "project": alert.project.slug,
        "component": alert.component.name if alert.component else "",
        "severity": str(alert.severity),
        "rule": alert.rule.name if alert.rule else "",
        "title": alert.title,
    }
    sent = {str(name): matchers.worded(value) for name, value in alert.labels.items()}
    source = "rule" if alert.rule else "people"
    return {"source": alert.integration.name if alert.integration else source, **sent, **own}


def written_of(row: Suppression) -> Written:
    """A stored row as the pure judge wants it. ValueError when its text cannot be read."""
    weekly = occurrences.parse_weekly(row.windows) if row.repeats == occurrences.WEEKLY else ()
    monthly = occurrences.parse_monthly(row.windows) if row.repeats == occurrences.MONTHLY else ()
    window = occurrences.Window(row.starts_at, row.ends_at, row.repeats, row.zone, weekly, monthly)
    source = matchers.parse(row.source_matchers) if row.kind in decide.BY_ALERTS else ()
    equal = tuple(name.strip() for name in row.equal.split(",") if name.strip())
    return Written(row.pk or 0, row.kind, matchers.parse(row.matchers), window, source, equal)


def open_labels() -> dict[int, dict[str, str]]:
    """Labels of every open alert by id, in the order in which they fired."""
    alerts = (
        Alert.objects.open()
        .select_related("project", "component", "rule", "integration")
        .order_by("triggered_at", "pk")
    )
    return {alert.pk: labels_of(alert) for alert in alerts}


def _alive(now: datetime) -> dict[int, Suppression]:
    rows = Suppression.objects.alive().filter(starts_at__lte=now)
    return {row.pk: row for row in rows if row.ends_at is None or row.ends_at > now}


def wanted(
    rows: Mapping[int, Suppression], labels: Mapping[int, Mapping[str, str]], now: datetime
) -> list[Reason]:
    """The reasons that should be in force now. What cannot be read mutes nothing, and says so in the log."""
    written = []
    for row in rows.values():
        try:
            written.append(written_of(row))
        except ValueError as refusal:  # a zone that the system no longer knows, say: rather a page too many
            log.warning("suppression cannot be read", suppression=row.pk, why=str(refusal))
    found = decide.muted(written, labels, now)
    return [_reason(one, rows[one.written.id], labels) for one in found]


def _reason(one: Muted, row: Suppression, labels: Mapping[int, Mapping[str, str]]) -> Reason:
    text = row.reason
    if one.source_id is not None:
        text = f"{text} (while “{labels[one.source_id]['title'][:60]}” is open)"
    return Reason(
        one.alert_id, one.written.kind, text, row.created_by_name or "the portal", row.pk, row.pk, one.source_id,
        one.until,
    )  # fmt: skip


@transaction.atomic
def evaluate(*, now: datetime, actor: Any = None) -> int:
    """All open alerts against all that is written; how many reasons came or went. One at a time, the database sees
    to that: the last one to begin has seen what the others wrote."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    rows = _alive(now)
    held = list(reasons.in_force().filter(slot__gt=0))
    labels = open_labels() if rows else {}
    return _bring_in_line(wanted(rows, labels, now), held, now, actor)


@transaction.atomic
def evaluate_one(*, alert: Alert, now: datetime) -> None:
    """An alert, whose row the caller holds, as it fires: before it pages. Others follow at the next tick."""
    rows = _alive(now)
    by_alerts = any(row.kind in decide.BY_ALERTS for row in rows.values())
    labels: dict[int, Any] = dict(open_labels()) if by_alerts else {}
    labels[alert.pk] = labels_of(alert)
    mine = [one for one in wanted(rows, labels, now) if one.alert_id == alert.pk]
    held = list(reasons.in_force().filter(slot__gt=0, alert=alert))
    if mine or held:
        _bring_in_line(mine, held, now, None)
        alert.suppressed = reasons.in_force().filter(alert=alert).exists()


def _bring_in_line(wanted_: list[Reason], held: list[AlertSuppression], now: datetime, actor: Any) -> int:
    stored = {(row.alert_id, row.kind, row.slot): row for row in held}
    right = {one.key: one for one in wanted_}
    reasons.locked({key[0] for key in stored.keys() ^ right.keys()})  # all of them at once, in their order
    changed = reasons.put(
        reasons=[one for key, one in right.items() if key not in stored], now=now, actor=actor
    )
    gone = [row.pk for key, row in stored.items() if key not in right]
    if gone:
        changed += reasons.lift(rows=AlertSuppression.objects.filter(pk__in=gone), now=now, actor=actor)
    _reword((stored[key], one) for key, one in right.items() if key in stored)
    return changed


def _reword(pairs: Iterable[tuple[AlertSuppression, Reason]]) -> None:
    """What was edited: another end, another reason, another alert that mutes."""
    for row, one in pairs:
        if (row.until, row.reason, row.parent_id) != (one.until, one.reason[:400], one.parent_id):
            AlertSuppression.objects.filter(pk=row.pk).update(
                until=one.until, reason=one.reason[:400], parent=one.parent_id
            )


# --- Before it is saved -------------------------------------------------------------------------------------
def preview(row: Suppression, now: datetime) -> tuple[list[Alert], list[occurrences.Span]]:
    """The open alerts that a row would mute now if it were in force, and when it is in force next.

    ValueError when its text cannot be read.
    """
    one = written_of(row)
    at_once = Written(one.id, one.kind, one.targets, occurrences.Window(now), one.source, one.equal)
    found = [muted.alert_id for muted in decide.muted([at_once], open_labels(), now)]
    alerts = (
        Alert.objects.filter(pk__in=found).select_related("project", "component").order_by("-triggered_at")
    )
    return list(alerts), occurrences.coming(one.window, now)
