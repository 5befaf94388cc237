"""Writing the demo story into an empty portal."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from apps.alerts import builtin, paging, sending, watch
from apps.alerts.models import Alert, AlertRule, ContactMethod, EscalationPolicy, EscalationStep
from apps.alerts.models.oncall import Schedule
from apps.alerts.services import Fired, trigger
from apps.audit import services as audit
from apps.core import partitions
from apps.errors import storing
from apps.errors.models import ErrorGroup
from apps.incidents.models import Incident
from apps.projects import services as projects
from apps.projects.models import Component, Project, Team
from reliability_portal.demo import cast, history, oncall, story, usage

BATCH = 1000
Say = Callable[[str], None]


def is_empty() -> bool:
    """Whether nothing of anybody's is here yet."""
    return not Project.objects.exists() and not Incident.objects.exists()


def load(*, now: datetime, seed: int, say: Say, n_errors: int = story.ERRORS) -> Project:
    """Everything, in the order in which it hangs together. Figures are said as they come."""
    say("people, components, policy")
    with transaction.atomic():
        people = _people()
        project = _project()
        components = _components(project)
        _rule(components["API Services"])
        team = Team.objects.get(name=cast.TEAM)
        policy = _policy(people, oncall.write(people=people, team=team, at=now - story.OPEN_FOR))
    hits = errors(project=project, moments=story.moments(now, seed, n_errors), now=now, seed=seed, say=say)
    say("requests, features, sessions")
    with transaction.atomic():
        usage.write(project=project, components=components, hits=hits, now=now, seed=seed)
    say("decisions about groups, past incidents, post-mortems")
    with transaction.atomic():
        _decide(project, people, now)
        history.write(project=project, components=components, people=people, now=now)
    say("the incident that is going on")
    open_one(project=project, component=components["Payments"], policy=policy, now=now)
    welcome(project)
    return project


# --- Who and what -------------------------------------------------------------------------------------------------
def password() -> str:
    """One for all people of the story, drawn once for this installation and kept beside its data."""
    path = Path(settings.DATA_DIR) / "demo-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("-".join(secrets.token_hex(2) for _ in range(3)))
    return path.read_text().strip()


def _people() -> dict[str, Any]:
    users = get_user_model()
    found = {}
    for name in (cast.ADMIN, *cast.PEOPLE):
        user = users(username=name, first_name=name.capitalize(), email=f"{name}@example.org", is_staff=True)
        user.is_superuser = name == cast.ADMIN
        user.set_password(password())
        user.save()
        user.groups.set(Group.objects.filter(name__in=cast.PEOPLE.get(name, ())))
        ContactMethod.objects.create(user=user, kind="email", address=user.email)
        audit.record("user.create", resource=user, category="config", details={"demo": True})
        found[name] = user
    return found


def _project() -> Project:
    return projects.create_project(name=cast.PROJECT, backfilled=True)


def _components(project: Project) -> dict[str, Component]:
    team = Team.objects.create(name=cast.TEAM, slug="journal-team")
    team.members.set(get_user_model().objects.filter(username__in=cast.PEOPLE))
    Project.objects.filter(pk=project.pk).update(team=team)
    found = {name: projects.ensure_component(project=project, name=name) for name in cast.COMPONENTS}
    project.components.update(team=team)
    for name, others in cast.DEPENDS_ON.items():
        found[name].depends_on.set([found[other] for other in others])
    return found


def _policy(people: dict[str, Any], schedule: Schedule) -> EscalationPolicy:
    """Whoever is on call, after ten minutes whoever follows, once more around; then the administrator."""
    policy = EscalationPolicy.objects.create(
        name=cast.POLICY, repeat_count=1, repeat_wait_s=600, fallback_user=people[cast.ADMIN], is_default=True,
        description="Whoever is on call, then whoever is next.", backfilled=True,
    )  # fmt: skip
    for order, (kind, wait_s) in enumerate((("schedule", 0), ("schedule_next", 600)), 1):
        EscalationStep.objects.create(
            policy=policy, order=order, wait_before_s=wait_s, kind=kind, schedule=schedule
        )
    builtin.ensure_builtin_rules()
    AlertRule.objects.update(policy=policy)
    # Money: an alert about it stays until somebody says that it is over.
    AlertRule.objects.filter(code="payment-failures").update(resolve_after_s=0)
    return policy


def _rule(component: Component) -> None:
    """One that people made: its editor has a past to show."""
    AlertRule.objects.create(
        name="Errors in API Services", condition="errorCount > 20", window_s=300, for_s=60, resolve_after_s=600,
        component=component, severity="error", description="More than twenty errors within five minutes.",
    )  # fmt: skip


# --- Errors -------------------------------------------------------------------------------------------------------
def errors(
    *, project: Project, moments: list[story.Moment], now: datetime, seed: int, say: Say
) -> list[tuple[datetime, bytes]]:
    """The events through the same storing as real ones, oldest first; returns whom they hit, and when."""
    hits: list[tuple[datetime, bytes]] = []
    partitions.ensure("errors_errorevent", now - timedelta(days=story.DAYS + 2), now + timedelta(days=1))
    for start in range(0, len(moments), BATCH):
        chunk = enumerate(moments[start : start + BATCH], start)
        events = [story.event_of(m, i, project.pk, now, seed) for i, m in chunk]
        storing.store_batch(events=events, backfilled=True)
        hits += [(e.occurred_at, e.user_hash) for e in events if e.user_hash]
        if start % (BATCH * 10) == 0:
            say(f"errors: {start:,} of {len(moments):,}")
    return hits


def _decide(project: Project, people: dict[str, Any], now: datetime) -> None:
    """What people decided about groups, when they did: the services would stamp it all with now."""
    for failure in cast.FAILURES:
        groups = ErrorGroup.objects.filter(
            project=project, exception_type=failure.kind, component__name=failure.component,
            title__contains=failure.message[:40],
        )  # fmt: skip
        if failure.status == "resolved":
            at = now - timedelta(days=max(failure.last_day - 1, 0.5))
            groups.update(status="resolved", resolved_at=at, resolved_by="bob", assignee=None)
        elif failure.status == "ignored":
            groups.update(status="ignored")
        elif failure.status == "regressed":
            at = now - timedelta(hours=7, minutes=len(failure.kind))
            groups.update(regressed_at=at, times_regressed=1)
    ErrorGroup.objects.filter(project=project, title__startswith="RateLimitedError").update(
        assignee=people["alice"]
    )


# --- Now ----------------------------------------------------------------------------------------------------------
def open_one(*, project: Project, component: Component, policy: EscalationPolicy, now: datetime) -> None:
    """The rule fires, the incident opens, Alice is paged: by the services, at the times when it would have been."""
    rule = AlertRule.objects.get(code="payment-failures")
    began = now - story.OPEN_FOR
    fired_at = began + timedelta(seconds=50)
    alert = trigger(
        fired=Fired(
            key=watch.dedup_key(rule, f"component:{component.pk}"),
            title="Card payments fail: the gateway refuses connections",
            severity="critical",
            project=project,
            component=component,
            rule=rule,
            policy=policy,
            value=float(story.OPEN_ERRORS),
            sentence=f"Critical errors in Payments: {story.OPEN_ERRORS} within 5 min (rule: ≥ 1).",
            first_seen_at=began,
        ),
        now=fired_at,
    )
    paging.escalate_due(now=now)
    sending.deliver_due(now=now)
    Alert.objects.filter(pk=alert.pk).update(backfilled=True)
    Incident.objects.filter(alerts=alert).update(backfilled=True)


def welcome(project: Project) -> None:
    """What `make run` prints: logins, a DSN, a line to paste."""
    key = project.keys.first()
    assert key is not None
    site, curl = settings.SITE_URL, f"curl -X POST {settings.SITE_URL}/api/errors/ -H 'Authorization: Bearer"
    record = '{"component": "Payments", "errorType": "Server Error", "severity": "Major", "message": "hello from curl"}'
    lines = [
        f"Sign in at {site}/admin/ as alice, bob, carol or admin; the password of all four is {password()}",
        f"DSN for a Sentry SDK: {projects.dsn(key)}",
        f"{curl} {key.public_key}' -d '{record}'",
    ]
    (Path(settings.DATA_DIR) / "welcome.txt").write_text("\n".join(lines) + "\n")
