"""The ways a page can go out: one file a kind, each with `send(page, secret) -> Receipt`."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Receipt:
    """What one try gave: `outcome` is sent, transient, ambiguous, permanent or bad_message."""

    outcome: str
    error: str = ""
    http_status: int | None = None
    provider_id: str = ""
    retry_after_s: int | None = None


class Sender(Protocol):
    """A kind of channel."""

    kind: str
    label: str

    def send(self, page: Any, secret: str) -> Receipt:
        """Send one page now, within the channel's own time limit; never raises for what a provider may answer."""


registry: dict[str, Sender] = {}


def register(sender: Sender) -> Sender:
    """Make a kind known; called at the end of each kind's file."""
    registry[sender.kind] = sender
    return sender
