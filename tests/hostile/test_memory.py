"""Memory stays within the limits times those who may use them at once, whatever comes in: peaks as the kernel counts
them, of the real web process and the real worker."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.core.slow_bodies import LARGE, MOST_LARGE, MOST_SLOW
from tests.hostile.inputs import BODIES, MIB, PATHS, coded
from tests.hostile.wire import is_well, post
from tests.loop.portal import eventually

THREADS = MOST_SLOW + 16
PACKED_MAX, UNPACKED_MAX, EVENT_MAX = 2 * MIB, 10 * MIB, MIB
# What decoding makes of a document of tiny values, in bytes of memory for a byte of text.
BLOW_UP = 25
# One large body in the room: unpacked, cut in slices, and at most MOST_VALUES values of some 60 bytes.
ROOM = 2 * UNPACKED_MAX + 2_000_000 * 60
# Bodies as they came: of the large ones each is held in pieces, as a whole, and on its way to the database.
RAW = MOST_LARGE * 4 * PACKED_MAX + THREADS * 2 * LARGE
ALLOCATOR = 48 * MIB  # what freed memory leaves behind in pieces
# A drain's batch: what is unpacked, one event decoded, and what is kept of all.
DRAIN = 2 * (32 * MIB + UNPACKED_MAX) + BLOW_UP * EVENT_MAX + ALLOCATOR
WAITS = (
    "from apps.ingest.models import InboxEntry; import json; print(json.dumps(InboxEntry.objects.count()))"
)


def packed(door: str, body: bytes) -> tuple[str, bytes, tuple[bytes, ...]]:
    return PATHS[door], gzip.compress(body, 6), coded("gzip")


def event(inside: bytes) -> bytes:
    return b'{"message":"x","extra":{"a":%s}}' % inside


def in_envelope(*items: tuple[bytes, bytes]) -> bytes:
    lines = [b'{"type":"%s","length":%d}\n%s' % (kind, len(payload), payload) for kind, payload in items]
    return b"\n".join([b"{}", *lines])


TINY = b"[" + b"[]," * 340_000 + b"[]]"
KEYS = b"{" + b",".join(b'"%x":1' % n for n in range(90_000)) + b"}"
LOADS = {
    **{f"{coding} bombs": (PATHS[door], BODIES[f"{coding} bomb"].body, coded(coding))
       for coding, door in (("gzip", "envelope"), ("br", "batch"), ("zstd", "store"), ("deflate", "track"))},
    "an array of 3 million objects": packed("batch", b"[" + b"{}," * 3_400_000 + b"{}]"),
    "an array of 600,000 lists": packed("batch", b"[" + b"[]," * 600_000 + b"[]]"),
    "an event of 340,000 lists": packed("store", event(TINY)),
    "an envelope of ten of them": packed("envelope", in_envelope(*[(b"event", event(TINY))] * 9)),
    "events of 90,000 keys": packed("envelope", in_envelope(*[(b"event", event(KEYS))] * 9)),
    "events of 80,000 tags": packed("envelope", in_envelope(*[(b"event", b'{"tags":%s}' % KEYS)] * 9)),
    "10,000,000 bytes of attachment": packed("envelope", in_envelope((b"attachment", b"x" * 10_000_000))),
    "100 items of 100 kB": packed("envelope", in_envelope(*[(b"attachment", b"a line\n" * 14_000)] * 100)),
    "400,000 lines of statsd": packed("envelope", in_envelope((b"statsd", b"a\n" * 400_000))),
}  # fmt: skip


def of(pid: int, name: str) -> int:
    """Bytes, from the kernel's account of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def peaks_from_now(pid: int) -> int:
    """Begin a new peak; what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return of(pid, "VmRSS")


@pytest.fixture(scope="module")
def processes(portal):
    """The one web process that serves, and those of the worker, with what they held before anything came."""
    assert is_well(portal.port)
    web = max(portal.named("portal-web"))
    return {
        "web": (web, peaks_from_now(web)),
        "work": [
            (p, peaks_from_now(p))
            for name in ("portal-worker", "portal-drain-0", "portal-drain-1")
            for p in portal.named(name)
        ],
    }


def attack(portal, path, body, headers, times):
    with ThreadPoolExecutor(times) as pool:
        return {
            pool_answer.status
            for pool_answer in pool.map(lambda _: post(portal.port, path, body, *headers), range(times))
        }


@pytest.mark.parametrize("what", LOADS)
def test_as_many_bombs_as_threads_take_no_more_than_one_of_them_may(portal, processes, what):
    web, before = processes["web"]
    statuses = attack(portal, *LOADS[what], THREADS)
    assert statuses <= {200, 413, 429}
    assert of(web, "VmHWM") - before <= ROOM + RAW + ALLOCATOR
    assert is_well(portal.port)


def test_as_many_large_bodies_as_threads_take_what_they_are(portal, processes):
    web, before = processes["web"]
    body = in_envelope((b"x", b"x" * (PACKED_MAX - 100)))
    assert attack(portal, PATHS["envelope"], body, (), THREADS) <= {200, 429}
    assert of(web, "VmHWM") - before <= ROOM + RAW + ALLOCATOR


def test_the_drain_of_all_that_takes_no_more_than_its_batch(portal, processes):
    eventually(lambda: portal.ask(WAITS) == 0, "an empty inbox", 400)
    for pid, before in processes["work"]:
        assert of(pid, "VmHWM") - before <= DRAIN
