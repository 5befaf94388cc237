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
    """A kind of channel. `personal`: a person can be reached by it; `address_is`, `secret_is`: what they must be;
    `bundle_s`: seconds within which one place gets one message (0: every page by itself, for machines)."""

    kind: str
    label: str
    personal: bool
    address_is: str
    secret_is: str
    bundle_s: int

    def send(self, page: Any, secret: str) -> Receipt:
        """Send one page now, within the channel's own time limit; never raises for what a provider may
        answer.

        Runs on a thread of its own: it must not touch the database.
        """


registry: dict[str, Sender] = {}


def following() -> list[str]:
    """Kinds that are told what became of an alert they paged for, each by its own words."""
    return [kind for kind, sender in registry.items() if getattr(sender, "follows", False)]


def register(sender: Sender) -> Sender:
    """Make a kind known; called at the end of each kind's file."""
    registry[sender.kind] = sender
    return sender


# At the end, because each of them registers itself here.
from apps.alerts.channels import apprise, email, pagerduty, slack, slack_app, sms, webhook  # noqa: E402, F401
