"""Plain makers for the tests of incidents."""

import itertools
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch

from django.contrib.auth.models import Group, Permission, User

from apps.incidents import postmortems, services
from apps.incidents.models import PostMortem
from apps.projects.models import Component, Project
from reliability_portal.roles import ROLES

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TEXTS = {name: f"What there is to say about {name}." for name in PostMortem.SECTIONS}
_numbers = itertools.count(1)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def make_role(name):
    """The group as the migration makes it; a flush between tests with real transactions takes it away."""
    group, made = Group.objects.get_or_create(name=name)
    if made:
        known = Permission.objects.select_related("content_type")
        held = [p for p in known if any(fnmatch(_key(p), pattern) for pattern in ROLES[name])]
        group.permissions.set(held)
    return group


def _key(permission):
    return f"{permission.content_type.app_label}.{permission.codename}"


def make_person(name="alice", *roles):
    person, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True, "password": "!"})
    person.groups.add(*(make_role(role) for role in roles))
    return User.objects.get(pk=person.pk)


def make_project(name="Shop"):
    return Project.objects.get_or_create(name=name, defaults={"slug": name.lower()})[0]


def make_component(name="Payments", project=None, *depends_on):
    project = project or make_project()
    component, _ = Component.objects.get_or_create(
        project=project, name=name, defaults={"slug": name.lower()}
    )
    component.depends_on.add(*depends_on)
    return component


def make_incident(state="triage", severity="critical", **facts):
    """An incident brought to its state by the services, one minute a step."""
    given = {"title": f"Payments fail {next(_numbers)}", "project": make_project(), "severity": severity}
    given |= {"components": [make_component()], "began_at": at(-600), "opened_by": "rule: Errors", "now": NOW}
    incident = services.open_incident(**given | facts)
    carol = make_person("carol", "Admin")
    for minute, verb in enumerate(WAYS[state], 1):
        now = at(60 * minute)
        if verb == "acknowledge":
            services.acknowledge(incident=incident, by="carol", at=now, actor=carol)
            continue
        if verb == "close":
            make_postmortem("approved", incident=incident)
        into = make_incident(severity=severity, **facts) if verb == "merge" else None
        incident = services.move(
            incident=incident, verb=verb, actor=carol, reason="Because.", now=now, into=into
        )
    return incident


WAYS = {
    "triage": (), "investigating": ("acknowledge",), "identified": ("acknowledge", "identify"),
    "monitoring": ("acknowledge", "mitigate"), "resolved": ("acknowledge", "mitigate", "resolve"),
    "closed": ("acknowledge", "mitigate", "resolve", "close"), "declined": ("decline",),
    "cancelled": ("acknowledge", "cancel"), "merged": ("merge",),
}  # fmt: skip


def make_postmortem(state="draft", incident=None, author="carol", reviewer="bob"):
    """A post-mortem with every section written, brought to its state by two people."""
    incident = incident or make_incident("resolved")
    writes, reads = make_person(author, "Admin"), make_person(reviewer, "Admin")
    document = postmortems.draft_postmortem(incident=incident, author=writes, now=at(600))
    if document.state != "draft":
        return document
    postmortems.save_draft(document=document, actor=writes, sections=TEXTS)
    for step in {"draft": (), "in_review": ("submit",), "changes_requested": ("submit", "back"),
                 "approved": ("submit", "approve"), "published": ("submit", "approve", "publish")}[state]:  # fmt: skip
        if step == "submit":
            postmortems.submit(document=document, actor=writes, now=at(700))
        elif step == "back":
            postmortems.request_changes(document=document, actor=reads, reason="More figures.", now=at(800))
        elif step == "approve":
            postmortems.approve(document=document, actor=reads, now=at(800))
        else:
            postmortems.publish(document=document, actor=writes, now=at(900))
    return document


def story(incident):
    """The texts of its timeline, oldest first."""
    return list(incident.timeline.order_by("id").values_list("text", flat=True))
