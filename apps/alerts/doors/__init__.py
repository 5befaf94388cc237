"""Doors for other tools: one file a kind, a registry of them. They read foreign words and call apps.alerts.services.

A kind reads a body and says what it means; keys, limits, errors and writes are the same for all and live in door.py.
"""

from typing import Protocol

registry: "dict[str, DoorKind]" = {}


class DoorKind(Protocol):
    """What the admin shows of a kind: its name, the sender's configuration, and whether bodies are mapped."""

    kind: str
    label: str
    mapped: bool

    def setup(self, site: str, key: str) -> str:
        """The sender's configuration, ready to paste; `key` may be a placeholder."""
        ...


def register(door: DoorKind) -> None:
    """Called once by each kind's file."""
    registry[door.kind] = door


# At the end, because each of them registers itself here.
from apps.alerts.doors import alertmanager, events_v2, mapped  # noqa: E402, F401
