"""What stands in place of a payload that was left out in a flood: a mark with the time, and nothing of the event."""

from datetime import datetime
from typing import Any

_MARK = "sampled"


def instead_of_payload(at: datetime) -> dict[str, Any]:
    """The whole payload of such an event."""
    return {_MARK: at.isoformat()}


def sampled_at(payload: dict[str, Any]) -> datetime | None:
    """When a payload was left out; None for one that was kept."""
    try:
        return datetime.fromisoformat(payload[_MARK])
    except (KeyError, TypeError, ValueError):
        return None
