"""What a body would make: read and placed as at the door, and nothing written."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.alerts.doors import alertmanager, events_v2, mapped
from apps.alerts.doors.events import Event, Heard
from apps.alerts.doors.taking import Sorting
from apps.alerts.models import Alert, Integration

MOST_SHOWN = 50


@dataclass(frozen=True)
class Outcome:
    """One event as it would be taken, in words."""

    verb: str
    title: str
    sentence: str
    severity: str
    component: str
    key: str
    pages: str
    meets: str


def outcomes(integration: Integration, document: Any, *, now: datetime) -> list[Outcome]:
    """By event, at most MOST_SHOWN. Raises Refused, as the door would."""
    sorting = Sorting.of(integration)
    return [_outcome(sorting, event, now) for event in _read(integration, document).events[:MOST_SHOWN]]


def _read(integration: Integration, document: Any) -> Heard:
    readers: dict[str, Callable[[], Heard]] = {
        "alertmanager": lambda: alertmanager.read(document),
        "events_v2": lambda: Heard((events_v2.read(document),)),
        "json": lambda: mapped.read(document, integration.mapping),
    }
    return readers[integration.kind]()


def _outcome(sorting: Sorting, event: Event, now: datetime) -> Outcome:
    fired = sorting.fired(event, now)
    held = Alert.objects.open().filter(dedup_key=fired.key).first()
    policy = str(fired.policy) if fired.policy else "nobody"
    return Outcome(
        verb=event.verb, title=fired.title[:200], sentence=fired.sentence[:300], severity=fired.severity,
        component=str(fired.component or ""), key=fired.key, pages=policy,
        meets=f"{held} ({held.get_state_display().lower()})" if held else "",
    )  # fmt: skip
