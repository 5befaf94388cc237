"""Plain makers for the tests of doors."""

import itertools
from datetime import timedelta

from apps.alerts.doors.keys import make_key
from apps.alerts.models import Integration
from tests.alerts.make import NOW, make_policy, make_project, make_user

_numbers = itertools.count(1)


def make_integration(kind="alertmanager", now=NOW, **facts):
    """An integration and its key."""
    facts = {"project": make_project(), **facts}
    made = Integration.objects.create(name=f"{kind} {next(_numbers)}", kind=kind, **facts)
    return made, make_key(integration=made, now=now)


def make_paging(kind="alertmanager", **facts):
    return make_integration(kind, policy=make_policy((0, make_user("alice"))), **facts)


def stamp(seconds=0):
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def am_alert(status="firing", starts=0, ends=None, name="HighErrors", **labels):
    return {
        "status": status, "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": "Errors are high", "description": "7 % of requests fail"},
        "startsAt": stamp(starts), "endsAt": "0001-01-01T00:00:00Z" if ends is None else stamp(ends),
        "generatorURL": "http://prometheus.example.org/graph?g0.expr=up",
    }  # fmt: skip


def am_body(*alerts, **facts):
    return {
        "version": "4", "groupKey": '{}:{alertname="HighErrors"}', "truncatedAlerts": 0,
        "status": "firing", "receiver": "portal", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://am.example.org:9093", "alerts": list(alerts), **facts,
    }  # fmt: skip


def pd_event(key, action="trigger", dedup="db-1", **facts):
    body = {"routing_key": key, "event_action": action, **facts}
    if dedup is not None:
        body["dedup_key"] = dedup
    if action == "trigger" and "payload" not in facts:
        body["payload"] = {"summary": "Disk full", "source": "db-1", "severity": "error"}
    return body
