"""The words of pages and notices. Text of senders is text: it is cut, never evaluated. Pure but for the addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.alerts.due import Paged, Run
from apps.alerts.models import Alert, Escalation

ANSWER = "Acknowledge: "


@dataclass(frozen=True)
class Told:
    """What one page says: subject, body, and the facts for channels that lay out their own message."""

    subject: str
    body: str
    data: Mapping[str, Any]


def url_of(alert: Alert | Paged) -> str:
    """Where to act: the incident's page, else the alert's. Written out: a page must not fail for a route's name."""
    if alert.incident_id:
        return f"{settings.SITE_URL}/admin/incidents/incident/{alert.incident_id}/change/"
    return f"{settings.SITE_URL}/admin/alerts/alert/{alert.pk}/change/"


def list_url() -> str:
    """Where several alerts stand together."""
    return f"{settings.SITE_URL}/admin/alerts/alert/"


def facts(alert: Alert | Paged, url: str) -> dict[str, Any]:
    """Facts of an alert as plain JSON."""
    return {
        "alert": alert.pk,
        "epoch": alert.epoch,
        "dedup_key": alert.dedup_key,
        "severity": str(alert.severity),
        "title": alert.title,
        "sentence": alert.sentence,
        "project": alert.project.name if alert.project else "",
        "component": alert.component.name if alert.component else "",
        "incident": f"INC-{alert.incident_id}" if alert.incident_id else "",
        "triggered_at": alert.triggered_at.isoformat(),
        "url": url,
        **({"drill": True} if alert.is_drill else {}),
    }


def page(alert: Alert | Paged, run: Escalation | Run, url: str) -> Told:
    """A page for a step of an escalation."""
    known = facts(alert, url)
    where = " / ".join(part for part in (known["project"], known["component"]) if part)
    again = f", round {run.cycle + 1}" if run.cycle else ""
    lines = [
        alert.sentence or alert.title,
        "",
        f"Where: {where}",
        f"Since: {alert.triggered_at:%Y-%m-%d %H:%M:%S} UTC",
        *([f"Incident: {known['incident']}"] if known["incident"] else []),
        f"Why you: {run.policy_name}, step {run.step + 1}{again}",
        "",
        f"{ANSWER}{url}",
    ]
    # The title of a drill begins with the word; a severity before it would be read first.
    label = "" if alert.is_drill else f"[{alert.severity.upper()}] "
    return Told(f"{label}{alert.title}"[:250], "\n".join(lines), known)


def with_link(body: str, link: str) -> str:
    """The body of a page with the link that answers it, put in when it is sent and kept nowhere."""
    head, mark, rest = body.rpartition(f"\n{ANSWER}")
    return f"{head}{mark}{link}\nIn the portal: {rest}" if mark else f"{body}\n\n{ANSWER}{link}"


def resolved(alert: Alert) -> Told:
    """The notice to those who were paged."""
    url = url_of(alert)
    known = {
        **facts(alert, url), "resolved_by": alert.resolved_by, "resolved_via": alert.resolved_via,
        "transition": "resolve",
    }  # fmt: skip
    body = f"Resolved by {alert.resolved_by} ({alert.resolved_via}).\n\n{alert.sentence}\n\n{url}"
    return Told(f"[RESOLVED] {alert.title}"[:250], body, known)


def acknowledged(alert: Alert) -> Told:
    """What a place is told that shows the alert's state itself."""
    known = {**facts(alert, url_of(alert)), "acked_by": alert.acked_by, "transition": "acknowledge"}
    body = f"Acknowledged by {alert.acked_by} ({alert.acked_via}).\n\n{alert.sentence}"
    return Told(f"[ACKNOWLEDGED] {alert.title}"[:250], body, {**known, "sentence": body})


def returned(alert: Alert, why: str) -> Told:
    """The notice to whoever had acknowledged an alert that fires again."""
    url = url_of(alert)
    body = f"You had acknowledged it ({why}). It pages again.\n\n{alert.sentence}\n\n{url}"
    return Told(f"[FIRES AGAIN] {alert.title}"[:250], body, facts(alert, url))


def flapping(alert: Alert, why: str) -> Told:
    """The one notice that an alert flaps."""
    url = url_of(alert)
    body = f"It comes and goes: {why}.\n\n{alert.sentence}\n\n{url}"
    return Told(f"[FLAPPING] {alert.title}"[:250], body, facts(alert, url))


def stable(alert: Alert, *, firing: bool) -> Told:
    """The one notice that an alert no longer flaps."""
    url = url_of(alert)
    now = "It fires, and pages again" if firing else "It is resolved"
    return Told(
        f"[STABLE AGAIN] {alert.title}"[:250], f"{now}.\n\n{alert.sentence}\n\n{url}", facts(alert, url)
    )


def drill(name: str) -> Told:
    """A test of a channel, marked as one."""
    body = f"This is a test of the channel {name}. Nothing is wrong.\n\n{settings.SITE_URL}"
    return Told(f"[TEST] {name}"[:250], body, {"sentence": "This is a test. Nothing is wrong."})


def broken(name: str, error: str) -> Told:
    """The notice that a channel was refused for good."""
    body = f"{name} refuses pages for good: {error}\n\nMend it and send a test.\n\n{settings.SITE_URL}"
    return Told(f"[BROKEN] {name}"[:250], body, {"sentence": f"{name} refuses pages: {error}"})


def too_many(name: str, limit: int) -> Told:
    """The notice that an integration sends more than it may."""
    said = f"{name} sends more than {limit} requests in 60 seconds. What is over the limit is refused."
    body = f"{said}\n\nFind out why, or raise its limit.\n\n{settings.SITE_URL}/admin/alerts/integration/"
    return Told(f"[LIMITED] {name}"[:250], body, {"sentence": said})
