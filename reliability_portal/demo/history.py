"""Past incidents with their alerts, timelines, post-mortems and promises.

Rows are written with the times at which they happened; the services would stamp them with now. Each document and each
incident has its audit event all the same, marked as part of the demo.
"""

from datetime import datetime, timedelta
from typing import Any

from apps.alerts.models import Alert, AlertRule
from apps.audit import services as audit
from apps.incidents import postmortems
from apps.incidents.models import ActionItem, Incident, PostMortem, TimelineEntry
from apps.projects.models import Component, Project
from reliability_portal.demo.cast import PASTS, Past

CLOSED = ("published",)


def write(
    *, project: Project, components: dict[str, Component], people: dict[str, Any], now: datetime
) -> None:
    """All of them, oldest first, so that their numbers follow their times."""
    rule = AlertRule.objects.get(code="new-critical-group")
    for past in PASTS:
        incident = _incident(past, project, components[past.component], people, now)
        _alert(past, incident, components[past.component], rule, people)
        _timeline(past, incident, people)
        if past.postmortem:
            _document(past, incident, people, now)
        audit.record("incident.open", resource=incident, details={"demo": True}, at=None)


def _at(incident: Incident, minutes: float) -> datetime:
    return incident.began_at + timedelta(minutes=minutes)


def _incident(
    past: Past, project: Project, component: Component, people: dict[str, Any], now: datetime
) -> Incident:
    began = now - timedelta(days=past.days_ago)
    detect, acknowledge, mitigate, resolve = (began + timedelta(minutes=m) for m in past.minutes)
    closed = past.postmortem in CLOSED
    incident = Incident.objects.create(
        title=past.title, project=project, severity=past.severity, state="closed" if closed else "resolved",
        summary=past.cause.split(". ")[0] if past.cause else "", commander=people[past.people[0]],
        opened_by="rule: New Critical error group", began_at=began, detected_at=detect,
        acknowledged_at=acknowledge, acknowledged_by=past.people[0], mitigated_at=mitigate, resolved_at=resolve,
        closed_at=resolve + timedelta(days=6) if closed else None, created_at=detect, backfilled=True,
    )  # fmt: skip
    incident.components.add(component)
    return incident


def _alert(
    past: Past, incident: Incident, component: Component, rule: AlertRule, people: dict[str, Any]
) -> None:
    assert incident.detected_at is not None and incident.mitigated_at is not None
    Alert.objects.create(
        dedup_key=f"demo:{incident.pk}", rule=rule, project=incident.project, component=component,
        incident=incident, title=f"{rule.name}: {past.component}", severity=past.severity, state="resolved",
        sentence=f"{past.burst:,} errors in {past.component} until it was mitigated.", value=float(past.burst),
        first_seen_at=incident.began_at, triggered_at=incident.detected_at, last_seen_at=incident.mitigated_at,
        acked_at=incident.acknowledged_at, acked_by=past.people[0], acked_via="link",
        resolved_at=incident.resolved_at, resolved_by=past.people[0], resolved_via="admin", backfilled=True,
    )  # fmt: skip


def _timeline(past: Past, incident: Incident, people: dict[str, Any]) -> None:
    detect, acknowledge, mitigate, resolve = past.minutes
    first, second = past.people
    told = [
        (detect, "machine", "incident.open", "Opened by rule: New Critical error group", "bad", ""),
        (detect + 0.1, "machine", "page.sent", f"Page to {first} by email sent", "neutral", ""),
        (acknowledge, "machine", "incident.acknowledge", f"Acknowledged by {first} via link", "good", ""),
        *(
            (acknowledge + (mitigate - acknowledge) * (n + 1) / (len(past.notes) + 1), "human", "incident.note", note,
             "neutral", (first, second)[n % 2])
            for n, note in enumerate(past.notes)
        ),
        (mitigate, "human", "incident.mitigate", "Mark mitigated", "good", first),
        (resolve, "human", "incident.resolve", f"Resolved by {first} via admin", "good", first),
    ]  # fmt: skip
    TimelineEntry.objects.bulk_create(
        TimelineEntry(
            incident=incident, at=_at(incident, minutes), kind=kind, action=action, text=text, tone=tone,
            actor=people.get(who), actor_label=who,
        )
        for minutes, kind, action, text, tone, who in told
    )  # fmt: skip


def _document(past: Past, incident: Incident, people: dict[str, Any], now: datetime) -> None:
    """Drafted a day later by the first, approved by the second."""
    author, reviewer = (people[name] for name in past.people)
    assert incident.resolved_at is not None
    drafted = incident.resolved_at + timedelta(days=1)
    document = PostMortem.objects.create(
        incident=incident, state=past.postmortem, author=author, summary=f"{past.title}. {past.cause}".strip(),
        root_cause=past.cause, mitigation=past.fix, tests_added=past.tests, lessons=past.lessons,
        impact=f"- Components: {past.component}\n- Errors: {past.burst:,}\n- Users were hit for {past.minutes[2]} min",
        timeline="\n".join(f"- {e.at:%Y-%m-%d %H:%M} UTC {e.text}" for e in incident.timeline.order_by("at")),
        due_on=postmortems.business_days_after(drafted.date(), 5), created_at=drafted, backfilled=True,
    )  # fmt: skip
    for title, kind, owner, due_in, state in past.items:
        ActionItem.objects.create(
            postmortem=document, title=title, kind=kind, owner=people[owner], state=state,
            due_on=(now + timedelta(days=due_in)).date(), created_at=drafted,
            closed_at=now + timedelta(days=due_in - 1) if state == "done" else None, backfilled=True,
        )  # fmt: skip
    _review(document, past, author, reviewer, drafted)
    audit.record("postmortem.draft", resource=document, actor=author, details={"demo": True})


def _review(document: PostMortem, past: Past, author: Any, reviewer: Any, drafted: datetime) -> None:
    """Submitted after two days, approved after four: as the state asks for."""
    if past.postmortem == "draft":
        return
    stamps: dict[str, Any] = {"submitted_at": drafted + timedelta(days=2), "submitted_by": author}
    if past.postmortem == "published":
        approved = drafted + timedelta(days=4)
        digest = postmortems.content_hash(document)
        stamps |= {
            "approved_at": approved,
            "approved_by": reviewer,
            "published_at": approved,
            "content_hash": digest,
        }
        audit.record(
            "postmortem.approve",
            resource=document,
            actor=reviewer,
            details={"content_hash": digest, "demo": True},
        )
    PostMortem.objects.filter(pk=document.pk).update(**stamps)
