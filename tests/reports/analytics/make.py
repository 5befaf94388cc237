"""Errors, requests and tracked events as the drains store them."""

import hashlib
from datetime import datetime, timedelta

from django.test import Client

from apps.errors.storing import store_batch
from apps.projects.models import Component, Project
from apps.reports.analytics import blocks  # noqa: F401 - registers the analyses
from apps.reports.analytics.block import Answer, registry
from apps.reports.analytics.scope import Scope, read
from apps.telemetry import storing as telemetry
from apps.telemetry.known_events import severity_of
from apps.telemetry.reported import ActiveUser, Request, Tracked
from tests.errors.make import NOW, make_event, make_project
from tests.people import make_person

MINUTE, HOUR, DAY = 60, 3600, 86_400


def make_visitor(*roles: str, name: str = "alice") -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make_person(name, *roles))
    return client


def make_errors(project: Project, count: int, *, first: int = 0, **facts) -> None:
    store_batch(events=[make_event(project, first + n, **facts) for n in range(count)])


def user_hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def make_requests(project: Project, count: int, *, failed: int = 0, first: int = 0, **facts) -> None:
    """So many requests, the first of them failed."""
    at = NOW - timedelta(seconds=facts.pop("age_s", 0))
    facts = {"endpoint": "/pay", "component_name": "Journal", "kind": "request", "duration_ms": 100.0} | facts
    telemetry.store_batch(
        requests=[
            Request(
                event_id=f"{first + n:032x}", project_id=project.pk, occurred_at=at, received_at=NOW,
                time_is_usable=True, failed=n < failed, **facts,
            )
            for n in range(count)
        ]
    )  # fmt: skip


def make_tracked(project: Project, name: str, count: int = 1, *, first: int = 0, **facts) -> None:
    """So many of one name; `who` may be a list, one for each."""
    at, who = NOW - timedelta(seconds=facts.pop("age_s", 0)), facts.pop("who", None)
    facts = {"component_name": "Journal", "severity": severity_of(name)} | facts
    telemetry.store_batch(
        tracked=[
            Tracked(
                event_id=hashlib.md5(f"{name}{first + n}{at}{facts}".encode()).hexdigest(), project_id=project.pk,
                name=name, occurred_at=at, received_at=NOW, time_is_usable=True,
                user_hash=user_hash(who[n] if isinstance(who, list) else who) if who else None, **facts,
            )
            for n in range(count)
        ]
    )  # fmt: skip


def make_active(project: Project, *names: str, age_s: int = 0) -> None:
    at = NOW - timedelta(seconds=age_s)
    telemetry.store_batch(active=[ActiveUser(project.pk, at, user_hash(name)) for name in names])


def make_scope(now: datetime = NOW, **given: str) -> Scope:
    return read({key.rstrip("_"): value for key, value in given.items()}, now)


def answer(name: str, now: datetime = NOW, **given: str) -> Answer:
    """What an analysis says over its own range, or another."""
    block = registry[name]
    given = {"range": block.range, **given} if block.range else given
    return block.ask(make_scope(now, **given))


def rows(name: str, *columns: str, **given: str) -> list[tuple]:
    """Some columns of its rows."""
    return [tuple(row[column] for column in columns) for row in answer(name, **given).rows]


__all__ = ["NOW", "Component", "make_event", "make_project"]
