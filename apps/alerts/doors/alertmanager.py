"""Alertmanager's webhook, version 4. What newer releases add is ignored; a payload of one's own is refused by name."""

from typing import Any

from apps.alerts.doors import register
from apps.alerts.doors.events import (
    RESOLVE,
    TRIGGER,
    Event,
    Heard,
    labels,
    mapping,
    moment,
    text,
    web_address,
)
from apps.alerts.doors.occurrences import fingerprint
from apps.core.refusal import Refused

MOST_ALERTS = 5000
_VERBS = {"firing": TRIGGER, "resolved": RESOLVE}
_COMPONENT_LABELS = ("component", "service", "job")


def read(document: Any) -> Heard:
    """Every alert of the group by itself: the status of the whole says nothing of a single one. Raises Refused."""
    given = mapping(document, "body")
    if text(given, "version", "", required=True) != "4":
        raise Refused("unsupported", "this door reads version 4", "version")
    alerts = given.get("alerts")
    if not isinstance(alerts, list):
        raise Refused("required" if alerts is None else "invalid", "must be a list of alerts", "alerts")
    if len(alerts) > MOST_ALERTS:
        raise Refused("too_many", f"more than {MOST_ALERTS} alerts; set max_alerts at the sender", "alerts")
    return Heard(tuple(_event(one, f"alerts[{n}]") for n, one in enumerate(alerts)), _truncated(given))


def _truncated(given: Any) -> int:
    count = given.get("truncatedAlerts", 0)
    if type(count) is not int or not 0 <= count < 2**31:
        raise Refused("invalid", "must be a count", "truncatedAlerts")
    return int(count)


def _event(one: Any, at: str) -> Event:
    given = mapping(one, at)
    status = text(given, "status", at, required=True)
    if status not in _VERBS:
        raise Refused("invalid_choice", "must be firing or resolved", f"{at}.status")
    kept = labels(given.get("labels"), f"{at}.labels")
    notes = labels(given.get("annotations") or {}, f"{at}.annotations")
    begun = moment(given.get("startsAt"), f"{at}.startsAt")
    if begun is None:
        raise Refused("required", "is missing", f"{at}.startsAt")
    name = kept.get("alertname") or "Alert"
    summary = notes.get("summary", "")
    return Event(
        verb=_VERBS[status],
        key=text(given, "fingerprint", at, most=100) or fingerprint(given["labels"]),
        title=summary or name,
        sentence=notes.get("description") or notes.get("message") or summary,
        severity=kept.get("severity", ""),
        component=next((kept[word] for word in _COMPONENT_LABELS if word in kept), ""),
        labels=kept,
        starts_at=begun,
        ends_at=moment(given.get("endsAt"), f"{at}.endsAt"),
        source_url=web_address(given.get("generatorURL")),
    )


class Alertmanager:
    """Prometheus by way of its Alertmanager; Grafana and Mimir send the same."""

    kind = "alertmanager"
    label = "Alertmanager webhook"
    mapped = False

    def setup(self, site: str, key: str) -> str:
        """A receiver of alertmanager.yml."""
        return (
            "receivers:\n  - name: portal\n    webhook_configs:\n"
            f"      - url: {site}/api/integrations/alertmanager/{key}/\n        send_resolved: true\n"
            "route:\n  receiver: portal\n"
        )


register(Alertmanager())
