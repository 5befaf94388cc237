"""The home page: one list of what needs a human, and what is in hand. Reads across rooms, changes nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from apps.alerts.models import Alert, AlertState, Escalation, EscalationState, Page, PageState
from apps.alerts.queries import next_pages
from apps.core.models import TickRun
from apps.core.severity import RANK, Severity
from apps.errors.models import ErrorGroup, GroupStatus
from apps.incidents import states
from apps.incidents.models import ActionItem, Incident, PostMortem, PostMortemState

SHOWN = 50
REGRESSED_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Action:
    """A button of a row: POST to `url`; `primary` at most once a page; shown to who has the permission."""

    label: str
    url: str
    primary: bool = False
    permission: str = "incidents.work_incident"


@dataclass
class Row:
    """One thing that needs somebody: what, why, since when, who has it, who is paged next."""

    key: str
    severity: str
    state: str
    title: str
    url: str
    since: datetime
    component: str = ""
    reason: str = ""
    who: str = ""
    next_at: datetime | None = None
    next_to: str = ""
    users: int = 0
    actions: list[Action] = field(default_factory=list)
    selectable: bool = False


@dataclass
class Triage:
    """The whole page: `needs` in order of weight, `in_hand` newest first, and what is this person's own."""

    needs: list[Row]
    in_hand: list[Row]
    yours: list[Row]
    sentence: str


def triage(*, now: datetime, user: Any) -> Triage:
    """What the home page shows. A fixed number of queries, whatever waits."""
    incidents = _incidents()
    paging = next_pages([i.pk for i in incidents])
    rows = [_incident_row(i, paging) for i in incidents]
    needs = [row for row in rows if not row.who]
    needs += _alerts_alone() + _unreached() + _regressed(now) + _late_ticks(now) + _failed_pages(now)
    needs.sort(key=lambda r: (RANK.get(Severity(r.severity), 9), -r.users, r.since))
    for row in (*rows, *needs):
        row.actions = [action for action in row.actions if user.has_perm(action.permission)]
    first = next((row for row in needs if row.actions), None)
    if first:
        first.actions[0] = replace(first.actions[0], primary=True)
    return Triage(needs[:SHOWN], [row for row in rows if row.who], _yours(now, user), _sentence(needs))


def _sentence(needs: list[Row]) -> str:
    """The verdict first."""
    if not needs:
        return "Nothing needs you."
    worst = needs[0]
    count = "One thing needs" if len(needs) == 1 else f"{len(needs)} things need"
    return f"{count} you. {worst.component + ': ' if worst.component else ''}{worst.title}."


def _incidents() -> QuerySet[Incident]:
    return Incident.objects.open().select_related("commander", "project").prefetch_related("components")[:200]


def _incident_row(incident: Incident, paging: dict[int, Any]) -> Row:
    coming = paging.get(incident.pk)
    acknowledged = incident.acknowledged_at is not None
    url = partial(reverse, args=[incident.pk])
    action = Action("Acknowledge", url("alerts:acknowledge_incident"))
    if acknowledged:
        step = states.move(states.INCIDENT_MOVES, "resolve", incident.state)
        needed = states.permission_of(step, incident.severity) if step else ""
        action = Action("Resolve", url("alerts:resolve_incident"), permission=needed)
    return Row(
        key=f"incident-{incident.pk}",
        severity=incident.severity,
        state="acknowledged" if acknowledged else "firing",
        title=incident.title,
        url=reverse("admin:incidents_incident_change", args=[incident.pk]),
        since=incident.began_at,
        component=", ".join(c.name for c in incident.components.all()),
        reason=f"{incident.number} · {incident.summary or incident.get_state_display()}",
        who=incident.acknowledged_by,
        next_at=coming.at if coming else None,
        next_to=coming.to if coming else "",
        actions=[action],
        selectable=not acknowledged,
    )


def _alerts_alone() -> list[Row]:
    """Firing alerts that opened no incident."""
    alerts = (
        Alert.objects.real()
        .filter(state=AlertState.TRIGGERED, incident=None)
        .select_related("component")[:SHOWN]
    )
    return [
        Row(
            key=f"alert-{a.pk}", severity=a.severity, state="firing", title=a.title, since=a.triggered_at,
            url=reverse("admin:alerts_alert_change", args=[a.pk]),
            component=a.component.name if a.component else "", reason=a.sentence,
        )
        for a in alerts
    ]  # fmt: skip


def _unreached() -> list[Row]:
    """Escalations that ended without having reached anybody, while their alert still fires."""
    lost = Escalation.objects.filter(
        state=EscalationState.UNREACHED, alert__state=AlertState.TRIGGERED, alert__is_drill=False
    ).select_related("alert")[:SHOWN]
    return [
        Row(
            key=f"escalation-{e.pk}", severity=Severity.CRITICAL, state="nobody", since=e.started_at,
            title=f"Nobody could be reached for {e.alert.title}",
            url=reverse("admin:alerts_alert_change", args=[e.alert_id]),
            reason=f"Policy {e.policy_name} ended without a page that was delivered.",
        )
        for e in lost
    ]  # fmt: skip


def _regressed(now: datetime) -> list[Row]:
    """Groups that came back after they were resolved, and that nobody has taken."""
    groups = ErrorGroup.objects.filter(
        status=GroupStatus.UNRESOLVED, assignee=None, regressed_at__gte=now - REGRESSED_FOR
    ).select_related("component")[:SHOWN]
    return [
        Row(
            key=f"group-{g.pk}", severity=Severity.WARNING, state="regressed", title=g.title,
            url=reverse("admin:errors_errorgroup_change", args=[g.pk]), since=g.regressed_at or g.last_seen,
            component=g.component.name, users=g.user_count,
            reason=f"Seen again in {g.last_release or 'a later event'} · {g.event_count:,} events, "
            f"{g.user_count:,} users",
            actions=[Action("Take it", reverse("admin:errors_errorgroup_press", args=[g.pk, "take"]))],
        )
        for g in groups
    ]  # fmt: skip


def _late_ticks(now: datetime) -> list[Row]:
    """The portal's own work that does not keep time."""
    url = reverse("admin:core_tickrun_changelist")
    return [
        Row(
            key=f"tick-{run.pk}", severity=Severity.ERROR, state="late", title=f"{run} has not run in time",
            url=url, since=run.succeeded_at or run.started_at or now, component="The portal itself",
            reason=run.last_error[:200] or f"{run.late_s(now)} s beyond what is allowed. Are worker and beat running?",
        )
        for run in TickRun.objects.all()
        if run.late_s(now)
    ]  # fmt: skip


def _failed_pages(now: datetime) -> list[Row]:
    """Pages that could not be delivered in the last day, per target."""
    failed = Page.objects.filter(state=PageState.FAILED, created_at__gte=now - timedelta(days=1)).order_by(
        "-id"
    )
    rows: dict[tuple[str, str], Row] = {}
    for page in failed[:200]:
        rows.setdefault(
            (page.target_label, page.kind),
            Row(
                key=f"page-{page.pk}", severity=Severity.ERROR, state="failed", since=page.created_at,
                title=f"A page to {page.target_label} by {page.kind} failed",
                url=reverse("admin:alerts_page_change", args=[page.pk]), reason=page.failure,
                component="The portal itself",
            ),
        )  # fmt: skip
    return list(rows.values())[:10]


def _yours(now: datetime, user: Any) -> list[Row]:
    """What this person promised or is asked for: action items due, post-mortems to write or to review."""
    items = ActionItem.objects.filter(owner=user, state__in=("open", "in_progress")).order_by("due_on")[:10]
    mine = Q(author=user, state__in=(PostMortemState.DRAFT, PostMortemState.CHANGES_REQUESTED))
    if user.has_perm("incidents.approve_postmortem"):
        mine |= Q(state=PostMortemState.IN_REVIEW) & ~Q(author=user)
    documents = PostMortem.objects.filter(mine).select_related("incident").order_by("due_on")[:10]
    rows = [_due("actionitem", i.pk, i.title, i.due_on, now) for i in items]
    rows += [
        _due("postmortem", d.pk, f"Post-mortem {d.incident.number}", d.due_on, now, d.state)
        for d in documents
    ]
    return sorted(rows, key=lambda r: r.since)


def _due(model: str, pk: int, title: str, due_on: Any, now: datetime, state: str = "") -> Row:
    late_days = (now.date() - due_on).days
    reason = (
        f"{late_days} d late" if late_days > 0 else "due today" if late_days == 0 else f"due {due_on:%d %b}"
    )
    return Row(
        key=f"{model}-{pk}", severity=Severity.ERROR if late_days > 0 else Severity.INFO, state=state, title=title,
        url=reverse(f"admin:incidents_{model}_change", args=[pk]),
        since=datetime(due_on.year, due_on.month, due_on.day, tzinfo=now.tzinfo), reason=reason,
    )  # fmt: skip


def menu_counts() -> dict[str, int]:
    """The figures beside the menu: open incidents, those nobody has, post-mortems in work, overdue action items."""
    open_ = Incident.objects.open().aggregate(
        all=Count("pk"), new=Count("pk", filter=Q(acknowledged_at=None))
    )
    documents = PostMortem.objects.filter(state__in=("draft", "in_review", "changes_requested")).count()
    return {"incidents": open_["all"], "unacknowledged": open_["new"], "postmortems": documents}
