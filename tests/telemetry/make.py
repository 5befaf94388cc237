"""Telemetry for tests: what senders send, and what becomes of it before it is stored."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from apps.projects.intake import Intake, user_hash
from apps.projects.services import create_project
from apps.telemetry import sessions, tracked, transactions
from apps.telemetry.reported import Request, SessionCounts, SessionUpdate, Tracked

NOW = datetime(2026, 5, 20, 12, 30, 15, tzinfo=UTC)
KEY = b"k" * 32


def make_project(name="Shop"):
    return create_project(name=name)


def make_intake(project_id=1, **changed):
    facts = {"project_id": project_id, "received_at": NOW, "hash_key": KEY, "event_id": uuid4().hex}
    return Intake(**(facts | changed))


def user(name, project_id=1):
    return user_hash(KEY, project_id, name)


def track(event, data=None, *, intake=None, **body):
    """The Tracked that a body becomes."""
    return tracked.from_body({"event": event, "data": data or {}, **body}, intake or make_intake())


def make_tracked(project_id, name="feature_used", at=NOW, **changed):
    facts = {
        "event_id": uuid4().hex, "project_id": project_id, "name": name, "occurred_at": at, "received_at": at,
        "time_is_usable": True, "component_name": "API Services",
    }  # fmt: skip
    return Tracked(**(facts | changed))


def make_request(project_id, endpoint="/feed", at=NOW, **changed):
    facts = {
        "event_id": uuid4().hex, "project_id": project_id, "occurred_at": at, "received_at": at,
        "time_is_usable": True, "component_name": "API Services", "kind": "request", "endpoint": endpoint,
        "failed": False, "duration_ms": 100.0,
    }  # fmt: skip
    return Request(**(facts | changed))


def make_update(project_id, session_id=None, at=NOW, **changed):
    facts = {
        "session_id": session_id or uuid4().hex, "project_id": project_id, "started_at": at, "received_at": at,
        "seq": 0, "outcome": "healthy", "release": "1.0", "environment": "production",
    }  # fmt: skip
    return SessionUpdate(**(facts | changed))


def make_counts(project_id, at=NOW, **changed):
    facts = {
        "project_id": project_id,
        "started_at": at,
        "received_at": at,
        "release": "1.0",
        "environment": "production",
    }
    return SessionCounts(**(facts | changed))


def sent_transaction(**changed):
    """A transaction as an SDK of a Django application sends it, ended a second before NOW."""
    end = NOW - timedelta(seconds=1)
    facts = {
        "event_id": uuid4().hex,
        "type": "transaction",
        "transaction": "/api/journal/{id}",
        "transaction_info": {"source": "route"},
        "start_timestamp": (end - timedelta(milliseconds=250)).isoformat(),
        "timestamp": end.isoformat(),
        "contexts": {
            "trace": {"op": "http.server", "status": "ok", "trace_id": uuid4().hex, "span_id": "a" * 16},
            "response": {"status_code": 200},
        },
        "request": {"method": "GET", "headers": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}},
        "user": {"id": 17},
        "tags": {},
        "spans": [],
    }
    return facts | changed


def read_transaction(intake=None, **changed):
    return transactions.from_sentry(sent_transaction(**changed), intake or make_intake())


def sent_session(**changed):
    """A session update as SDKs send it."""
    facts = {
        "sid": str(uuid4()), "did": "17", "init": True, "seq": 0, "status": "ok", "errors": 0,
        "started": NOW.isoformat(), "timestamp": NOW.isoformat(), "duration": 1.5,
        "attrs": {"release": "1.0", "environment": "production"},
    }  # fmt: skip
    return facts | changed


def read_session(intake=None, **changed):
    return sessions.update_of(sent_session(**changed), intake or make_intake())
