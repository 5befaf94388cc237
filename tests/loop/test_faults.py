"""Killing processes under load: what was acknowledged is there once, whoever died."""

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest

from tests.loop.portal import KEY, Portal, answers, eventually, running_portal, send

FULL = os.environ.get("PORTAL_CI") == "1"
RATE_PER_S, SENDERS = 200, 4
VICTIMS = {
    "web": lambda portal: portal.named("portal-web"),
    "house": lambda portal: portal.pids("reliability_portal.house"),
    "drain": lambda portal: portal.named("portal-drain-0"),
    "worker": lambda portal: portal.named("portal-worker"),
    "valkey": lambda portal: portal.pids("valkey-server"),
    "postgres": lambda portal: portal.pids("postgres"),
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


@pytest.fixture(scope="module")
def portal():
    """One portal, which survives all that is done to it here; what is counted is everything it has stored."""
    with running_portal() as it:
        it.manage("dsn", "Load", "--key", KEY)
        yield it


@dataclass
class Load:
    """Senders at work."""

    senders: list[Sender]

    def acknowledged(self) -> set[str]:
        return {i for sender in self.senders for i in sender.acknowledged}

    def refused(self) -> int:
        return sum(sender.refused for sender in self.senders)


@contextlib.contextmanager
def load(portal: Portal, lasts_s: float) -> Iterator[Load]:
    """Senders that post until the time is up; afterwards what they were answered is compared with what is stored."""
    eventually(lambda: answers(portal.site), "the web server", 60)
    until = time.monotonic() + lasts_s
    it = Load([Sender(portal, until, seed) for seed in range(SENDERS)])
    for sender in it.senders:
        sender.start()
    yield it
    for sender in it.senders:
        sender.join(lasts_s + 60)
    acknowledged = it.acknowledged()
    assert len(acknowledged) > RATE_PER_S * lasts_s / 10
    stored = eventually(lambda: _settled(portal), "an empty inbox", 90)
    print(f"{len(acknowledged)} acknowledged, {it.refused()} refused")
    assert acknowledged - set(stored["ids"]) == set()
    assert stored["twice"] == [] and stored["aside"] == 0
    assert stored["counted"] == len(stored["ids"])


@pytest.mark.fault
def test_whoever_is_killed_at_random_nothing_is_lost_or_counted_twice(portal):
    """Every process in turn, in an order that the dice give: none so often that the portal gives it up."""
    lasts_s, every_s = (60, 2.5) if FULL else (6, 1)
    dice, killed = random.Random(), Counter()
    seed = dice.randrange(10**9)
    dice.seed(seed)
    with load(portal, lasts_s):
        deck = [name for _ in range(3) for name in dice.sample(sorted(VICTIMS), len(VICTIMS))]
        for victim in deck[: int(lasts_s / every_s) - 1]:
            time.sleep(dice.uniform(0.5, 1.5) * every_s)
            pids = VICTIMS[victim](portal)
            killed[victim] += send(signal.SIGKILL, [dice.choice(pids)] if pids else [])
    print(f"dice {seed}: {dict(killed)}")
    assert killed.total() >= lasts_s / every_s / 2


@pytest.mark.fault
@pytest.mark.parametrize("way", ["hangs", "refuses"])
def test_while_postgresql_is_away_every_report_is_taken_and_none_is_lost_or_doubled(portal, way):
    """Hanging is the worse way: connections stay open and nobody answers."""
    away_s = 60 if FULL else 5
    with load(portal, away_s + 6) as it:
        time.sleep(3)
        with away(portal, way):
            time.sleep(away_s)
            assert (portal.data / "spool").stat() and list((portal.data / "spool").iterdir())
    assert it.refused() == 0
    assert list((portal.data / "spool").iterdir()) == []


@contextlib.contextmanager
def away(portal: Portal, way: str) -> Iterator[None]:
    """PostgreSQL stopped in its tracks; or behind a door that is gone, its open connections ended."""
    if way == "hangs":
        stopped = portal.pids("postgres")
        send(signal.SIGSTOP, stopped)
        try:
            yield
        finally:
            send(signal.SIGCONT, stopped)
        return
    socket_path = portal.data / "run" / ".s.PGSQL.5432"
    hidden = socket_path.rename(socket_path.with_suffix(".hidden"))
    send(signal.SIGTERM, portal.pids("postgres: portal"))
    try:
        yield
    finally:
        hidden.rename(socket_path)


@pytest.mark.fault
def test_while_valkey_hangs_every_report_is_taken_and_stored(portal):
    away_s = 30 if FULL else 4
    with load(portal, away_s + 2) as it:
        time.sleep(1)
        stopped = portal.pids("valkey-server")
        assert send(signal.SIGSTOP, stopped)
        try:
            time.sleep(away_s)
            taken = len(it.acknowledged())
            eventually(lambda: stored_without_asking_valkey(portal) >= taken, "drains need no Valkey", 30)
        finally:
            send(signal.SIGCONT, stopped)
    assert it.refused() == 0


@pytest.mark.fault
@pytest.mark.parametrize("victim", sorted(VICTIMS))
def test_no_acknowledged_error_is_lost_or_counted_twice(portal, victim):
    """kill -9 in the middle of the load, at random moments. Last here: a supervisor gives up what dies five times a
    minute, and the deaths of the test above are long past."""
    lasts_s, kills = (20, 3) if FULL else (5, 1)
    dice, killed = random.Random(victim), 0
    with load(portal, lasts_s):
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 0.8) * lasts_s / kills)
            assert portal.up.poll() is None
            killed += send(signal.SIGKILL, VICTIMS[victim](portal))
    assert killed


def stored_without_asking_valkey(portal: Portal) -> int:
    """Events that the drains counted; commands of the portal would wait for its Valkey."""
    with psycopg.connect(f"host={portal.data / 'run'} dbname=portal user=portal_app") as link:
        return link.execute("SELECT count(*) FROM errors_errorevent").fetchone()[0]


def _settled(portal: Portal) -> dict | None:
    """What is stored, once nothing waits any more; None while the portal is still coming back."""
    try:
        stored = portal.ask(STORED)
    except AssertionError:
        return None
    return stored if stored["inbox"] == 0 and not list((portal.data / "spool").glob("*")) else None
