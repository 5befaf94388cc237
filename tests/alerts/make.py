"""Plain makers for the tests of alerts."""

import itertools
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User

from apps.alerts.models import AlertRule, Channel, EscalationPolicy, EscalationStep
from apps.alerts.services import Fired, trigger
from apps.errors.models import EndpointMinute, ErrorGroup, ErrorMinute
from apps.projects.models import Component, Project
from apps.telemetry.models import RequestMinute, TrackedMinute

NOW = datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC)
_numbers = itertools.count(1)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def make_user(name="alice", **facts):
    defaults = {"email": f"{name}@example.org", "password": "!", "first_name": name.capitalize()}
    return User.objects.get_or_create(username=name, defaults={**defaults, **facts})[0]


def make_project(name="Shop"):
    return Project.objects.get_or_create(name=name, defaults={"slug": name.lower().replace(" ", "-")})[0]


def make_component(name="Payments", project=None):
    project = project or make_project()
    defaults = {"slug": name.lower().replace(" ", "-")}
    return Component.objects.get_or_create(project=project, name=name, defaults=defaults)[0]


def make_channel(kind="webhook", address="http://127.0.0.1:9/", secret="", **facts):
    from apps.core import secret_fields

    channel = Channel.objects.create(name=f"{kind} {next(_numbers)}", kind=kind, address=address, **facts)
    channel.secret = secret_fields.seal(secret, place=channel.secret_place)
    channel.save()
    return channel


def make_policy(*steps, fallback=None, name=None, **facts):
    """Steps as (wait, user), (wait, channel) or (wait, team)."""
    facts = {"repeat_count": 0, "repeat_wait_s": 300, **facts}
    name = name or f"Policy {next(_numbers)}"
    policy = EscalationPolicy.objects.create(name=name, fallback_user=fallback or make_user("carol"), **facts)
    for order, (wait_s, whom) in enumerate(steps, 1):
        kind = {User: "people", Channel: "channel"}.get(type(whom), "team")
        step = EscalationStep.objects.create(
            policy=policy, order=order, wait_before_s=wait_s, kind=kind,
            channel=whom if kind == "channel" else None, team=whom if kind == "team" else None,
        )  # fmt: skip
        if kind == "people":
            step.users.add(whom)
    return policy


def make_rule(condition="errorCount > 10", **facts):
    return AlertRule.objects.create(name=f"Rule {next(_numbers)}", condition=condition, **facts)


def make_alert(policy=None, key=None, now=NOW, component=None, **facts):
    component = component or make_component()
    fired = Fired(
        key=key or f"test:{next(_numbers)}", title="Payments are failing", severity="critical",
        project=component.project, component=component, sentence="12 errors within 5 min (rule: > 10).",
        policy=policy, **facts,
    )  # fmt: skip
    return trigger(fired=fired, now=now)


def make_errors(n, component=None, minute=None, severity="Major"):
    component = component or make_component()
    minute = (minute or NOW).replace(second=0, microsecond=0)
    return ErrorMinute.objects.create(
        project=component.project, component=component, minute=minute, severity=severity, n=n, impacting=n
    )


def make_group(component=None, first_seen=NOW, **facts):
    component = component or make_component()
    facts = {"severity": "Critical", "error_type": "Server Error", "last_seen": first_seen, **facts}
    return ErrorGroup.objects.create(
        project=component.project, component=component, fingerprint=f"f{next(_numbers)}",
        title="KeyError: card",
        first_seen=first_seen, **facts,
    )  # fmt: skip


def make_failing_endpoint(endpoint, project=None, minute=NOW, n=1):
    minute = minute.replace(second=0, microsecond=0)
    return EndpointMinute.objects.create(
        project=project or make_project(), endpoint=endpoint, minute=minute, n=n
    )


def make_requests(n, failed=0, component=None, endpoint="/login", minute=None, **facts):
    component = component or make_component()
    return RequestMinute.objects.create(
        project=component.project, component=component, minute=(minute or NOW).replace(second=0, microsecond=0),
        **{"kind": "request", "endpoint": endpoint, "n": n, "failed": failed, **facts},
    )  # fmt: skip


def make_tracked_minute(name, component=None, n=1, minute=None):
    component = component or make_component()
    return TrackedMinute.objects.create(
        project=component.project, component=component, minute=(minute or NOW).replace(second=0, microsecond=0),
        name=name, n=n,
    )  # fmt: skip
