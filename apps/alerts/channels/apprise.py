"""Other services through Apprise, for what need not page: it gives no receipt, only yes or no.

Its plugins talk to the network themselves, so only services whose host is fixed by their scheme are let in;
and no options after "?", which could turn off certificate checks or name other hosts. The library is an extra of this
package, and loaded by the process that sends by it alone.
"""

import re
from importlib.util import find_spec
from typing import Any

from apps.alerts import delivery
from apps.alerts.channels import Receipt, register

SCHEMES = frozenset(
    {"discord", "tgram", "pover", "pbul", "msg91", "twist", "line", "prowl", "join", "simplepush"}
)
HIGH = frozenset({"critical", "error"})
_SCHEME = re.compile(r"([a-z0-9]{2,12})://[^\s?#\\]{3,900}")


def check(url: str) -> str:
    """What is wrong with an Apprise address, in words that do not repeat it; empty if nothing is."""
    found = _SCHEME.fullmatch(url)
    if found is None:
        return "Write scheme://… as Apprise documents it, without options after “?”."
    if found[1] not in SCHEMES:
        return f"Only services with a fixed host are let in: {', '.join(sorted(SCHEMES))}."
    return "" if _plugin(url) is not None else f"Apprise cannot read this address for {found[1]}."


def _plugin(url: str) -> Any:
    import apprise

    asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY, app_id="Reliability Portal")
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin:
        plugin.request_rate_per_sec = 0  # it would sleep on our thread; the outbox spaces pages itself
    return plugin or None


class Apprise:
    """Any service that Apprise knows and whose host is fixed."""

    kind = "apprise"
    label = "Other service (Apprise), not for pages"
    personal = False
    pages = False
    address_is = ""
    secret_is = "the service's Apprise address, such as tgram://…"  # noqa: S105 - words for a form
    bundle_s = 60

    def send(self, page: Any, secret: str) -> Receipt:
        """One message. What it answers is only yes or no: a no is tried again."""
        if page.escalation_id and page.urgency in HIGH:
            return Receipt(
                delivery.BAD_MESSAGE, "Apprise gives no receipts: it carries warnings and notices only."
            )
        if wrong := check(secret):
            return Receipt(delivery.PERMANENT, wrong)
        arrived = _plugin(secret).notify(title=page.subject, body=page.body)
        return (
            Receipt(delivery.SENT) if arrived else Receipt(delivery.TRANSIENT, "The service did not take it.")
        )


if find_spec("apprise"):
    register(Apprise())
