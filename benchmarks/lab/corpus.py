"""Corpora: as many unlike events as wanted, rendered from what the SDK really sent, each with fresh ids and times."""

import copy
import gzip
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from apps.core.embedded.paths import PROJECT_DIR

USERS, TENANTS = 5000, 20
SDK_GZIP_LEVEL = 9
PLAIN_RECORD_BYTES = 1000
SEVERITIES = ("critical", "major", "minor")
ERROR_TYPES = ("Server Error", "Validation Error", "Network Error")
COMPONENTS = ("Checkout", "Orders", "Catalog")


def captured(folder: Path) -> list[dict[str, Any]]:
    """What the SDK sent: header and event of each failure. Raises RuntimeError where the SDK is not installed."""
    file = folder / "captured.jsonl"
    command = [sys.executable, "-m", "benchmarks.lab.captured", str(file)]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nothing could be captured: {done.stderr.strip()[-500:]}")
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def stamp(at: datetime) -> str:
    """As SDKs write times."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def fresh_event(model: dict[str, Any], rnd: random.Random) -> dict[str, Any]:
    """An event like the captured one that happens now to somebody else."""
    event = dict(model["event"])
    number = rnd.randrange(USERS)
    trace = {"trace_id": f"{rnd.getrandbits(128):032x}", "span_id": f"{rnd.getrandbits(64):016x}"}
    contexts = event.get("contexts", {})
    event |= {
        "event_id": f"{rnd.getrandbits(128):032x}",
        "timestamp": stamp(datetime.now(UTC)),
        "contexts": {**contexts, "trace": {**contexts.get("trace", {}), **trace}},
        "user": {**event["user"], "id": str(number), "email": f"user{number}@example.com"},
        "tags": {**event["tags"], "tenant": f"tenant-{rnd.randrange(TENANTS):02}"},
    }
    return event


def envelope(events: list[dict[str, Any]], header: dict[str, Any]) -> bytes:
    """One envelope of these events, unpacked; named after the first."""
    said = {**copy.deepcopy(header), "event_id": events[0]["event_id"], "sent_at": stamp(datetime.now(UTC))}
    lines = [orjson.dumps(said)]
    for event in events:
        payload = orjson.dumps(event)
        lines += [
            orjson.dumps({"type": "event", "content_type": "application/json", "length": len(payload)}),
            payload,
        ]
    return b"\n".join((*lines, b""))


def envelopes(
    models: list[dict[str, Any]], count: int, rnd: random.Random, *, items: int = 1
) -> Iterator[bytes]:
    """Packed envelopes of `items` events each."""
    for _ in range(count):
        chosen = [rnd.choice(models) for _ in range(items)]
        body = envelope([fresh_event(model, rnd) for model in chosen], chosen[0]["header"])
        yield gzip.compress(body, SDK_GZIP_LEVEL)


def record(rnd: random.Random) -> dict[str, Any]:
    """A plain error record of about 1 kB, as the JSON doors take it."""
    place = rnd.randrange(50)
    line = f"    at step{place} (https://shop.example.com/assets/orders-{place % 7}.js:{rnd.randrange(9000)}:17)\n"
    said = {
        "eventId": f"{rnd.getrandbits(128):032x}",
        "timestamp": stamp(datetime.now(UTC)),
        "errorType": ERROR_TYPES[place % len(ERROR_TYPES)],
        "message": f"order {rnd.randrange(10**6)} could not be priced in step {place}",
        "severity": SEVERITIES[place % len(SEVERITIES)],
        "component": COMPONENTS[place % len(COMPONENTS)],
        "route": f"/api/v1/orders/step-{place}",
        "userId": str(rnd.randrange(USERS)),
        "release": "shop@4.12.3",
        "environment": "production",
        "tags": {"tenant": f"tenant-{rnd.randrange(TENANTS):02}", "region": "eu-west"},
        "stackTrace": f"RangeError: step {place} is out of range\n",
    }
    room = PLAIN_RECORD_BYTES - len(orjson.dumps(said))
    said["stackTrace"] += line * (room // (len(line) + 1))
    return said


def record_batches(count: int, rnd: random.Random, *, records: int) -> Iterator[bytes]:
    """Packed NDJSON of `records` plain records each."""
    for _ in range(count):
        lines = b"\n".join(orjson.dumps(record(rnd)) for _ in range(records))
        yield gzip.compress(lines, SDK_GZIP_LEVEL)
