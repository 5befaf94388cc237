"""Killing processes under load: what was acknowledged is there once, whoever died."""

import http.client
import json
import os
import random
import threading
import time
import uuid
from datetime import UTC, datetime

import pytest

from tests.loop.portal import KEY, Portal, answers, eventually, running_portal

FULL = os.environ.get("PORTAL_CI") == "1"
RATE_PER_S, SENDERS = 200, 4
VICTIMS = {
    "web": ("reliability_portal.web",),
    "worker": ("reliability_portal.work",),
    "valkey": ("valkey-server",),
    "postgres": ("postgres",),
}
STORED = """
import json
from collections import Counter
from apps.errors.models import ErrorEvent, ErrorGroup
from apps.ingest.models import InboxEntry, SetAside
ids = Counter(ErrorEvent.objects.values_list("event_id", flat=True))
print(json.dumps({"ids": list(ids), "twice": [i for i, n in ids.items() if n > 1],
                  "counted": sum(ErrorGroup.objects.values_list("event_count", flat=True)),
                  "inbox": InboxEntry.objects.count(), "aside": SetAside.objects.count()}))
"""


class Sender(threading.Thread):
    """Posts events at a steady rate and remembers the ids that were answered with 200; tries nothing again."""

    def __init__(self, portal: Portal, until: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.portal, self.until, self.random = portal, until, random.Random(seed)
        self.acknowledged: list[str] = []
        self.refused = 0

    def run(self) -> None:
        connection = None
        while (now := time.monotonic()) < self.until:
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.portal.port, timeout=15
                )
                self._send(connection)
            except (OSError, http.client.HTTPException):
                self.refused += 1
                connection = None
                time.sleep(0.1)
            time.sleep(max(0, SENDERS / RATE_PER_S - (time.monotonic() - now)))

    def _send(self, connection: http.client.HTTPConnection) -> None:
        event_id = uuid.uuid4().hex
        event = {
            "event_id": event_id, "level": "error", "timestamp": datetime.now(UTC).isoformat(),
            "exception": {"values": [{"type": f"Kind{self.random.randrange(20)}", "value": "planted"}]},
            "user": {"id": self.random.randrange(500)}, "tags": {"component": "Load"},
        }  # fmt: skip
        payload = json.dumps(event).encode()
        header = json.dumps({"event_id": event_id}).encode()
        item = json.dumps({"type": "event", "length": len(payload)}).encode()
        connection.request(
            "POST", "/api/1/envelope/", body=b"\n".join((header, item, payload)),
            headers={"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={KEY}"},
        )  # fmt: skip
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            self.acknowledged.append(event_id)
        else:
            self.refused += 1


@pytest.fixture(scope="function" if FULL else "module")
def portal():
    """Each victim has a portal of its own in the full form; in the short one they share it, and what it has stored."""
    with running_portal() as it:
        it.manage("dsn", "Load", "--key", KEY)
        yield it


@pytest.mark.fault
@pytest.mark.parametrize("victim", sorted(VICTIMS))
def test_no_acknowledged_error_is_lost_or_counted_twice(portal, victim):
    """kill -9 in the middle of the load, at random moments."""
    lasts_s, kills = (20, 3) if FULL else (5, 1)
    dice = random.Random(victim)
    eventually(lambda: answers(portal.site), "the web server", 60)
    until = time.monotonic() + lasts_s
    senders = [Sender(portal, until, seed) for seed in range(SENDERS)]
    for sender in senders:
        sender.start()
    killed = 0
    for _ in range(kills):
        time.sleep(dice.uniform(0.2, 0.8) * lasts_s / kills)
        killed += portal.kill(*VICTIMS[victim]) if portal.up.poll() is None else 0
    for sender in senders:
        sender.join(lasts_s + 60)
    acknowledged = {i for sender in senders for i in sender.acknowledged}
    assert killed and len(acknowledged) > RATE_PER_S * lasts_s / 10
    stored = eventually(lambda: _settled(portal), "an empty inbox", 90)
    refused = sum(sender.refused for sender in senders)
    print(f"{victim}: {len(acknowledged)} acknowledged, {refused} refused, {killed} processes killed")
    assert acknowledged - set(stored["ids"]) == set()
    assert stored["twice"] == [] and stored["aside"] == 0
    assert stored["counted"] == len(stored["ids"])


def _settled(portal: Portal) -> dict | None:
    """What is stored, once nothing waits any more; None while the portal is still coming back."""
    try:
        stored = portal.ask(STORED)
    except AssertionError:
        return None
    return stored if stored["inbox"] == 0 else None
