"""Hostile requests to every door, then the drain over what was taken: no 5xx, nothing escapes, nothing is lost
uncounted. Every door in parts, so that a parallel run shares them out."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.errors.models import ErrorEvent
from apps.ingest import drain, envelope
from apps.ingest.batch import known_type
from apps.ingest.models import InboxEntry, ItemCount, SetAside
from apps.ingest.unpack import unpack
from tests.fuzz import MOST
from tests.ingest import hostile
from tests.ingest.wsgi import make_project, post

# Doors by how much of the work is theirs: the envelope is what strangers know.
SHARES = {"envelope": 8, "store": 3, "batch": 3, "errors": 2, "client": 2, "track": 1, "tunnel": 1}
PARTS = [(door, part) for door, share in SHARES.items() for part in range(share)]
INPUTS = -(-MOST // len(PARTS))
AT_ONCE = 8  # threads, as a web process has them: they share commits
ROUND = min(INPUTS // 2, 500)
# Items of which one may count as several, or (an empty list of sessions) as none.
CONTAINERS = {"log", "otel_log", "span", "trace_metric", "statsd"}


def answered(request: hostile.Request) -> Counter[str]:
    """Items that were taken, by type, as a count will name them."""
    try:
        answer = post(request.path, request.body, **request.environ)
    finally:
        connections.close_all()
    assert answer.status < 500, (answer, request)
    if answer.status >= 400:
        said = answer.json
        assert (said["status"], said["requestId"]) == (answer.status, answer.headers["x-request-id"]), (
            answer,
            request,
        )
        assert said["code"] and said["message"], (answer, request)
        return Counter()
    if request.door in ("envelope", "tunnel"):
        return taken_of_envelope(request)
    if request.door == "batch":
        return Counter({"event": answer.json["accepted"]})
    return Counter({"tracked" if request.door == "track" else "event": 1})


def taken_of_envelope(request: hostile.Request) -> Counter[str]:
    coding = str(request.environ.get("HTTP_CONTENT_ENCODING", ""))
    length = request.environ.get("CONTENT_LENGTH") or len(request.body)
    body = unpack(request.body[: int(length)], coding, max_bytes=10 * 2**20)
    split = envelope.split(body, item_bytes=dict.fromkeys(envelope.ITEM_BYTES, 10 * 2**20))
    return Counter(known_type(item.type) for item in split.items)


def counted() -> Counter[str]:
    """What the drain has counted, by type; what SDKs lost themselves never came."""
    rows = ItemCount.objects.exclude(outcome__startswith="sdk:").exclude(outcome="rate_limited")
    total: Counter[str] = Counter()
    for kind, n in rows.values_list("item_type", "n"):
        total[kind] += n
    return total


def settled(taken: Counter[str]) -> None:
    """The drain leaves nothing in the inbox, and every item that was taken stands in one count."""
    while drain.drain(now=timezone.now(), slot=1).pieces:
        pass
    assert not list(InboxEntry.objects.values_list("kind", "attempts", "body")[:1]), "a drain stumbled"
    found = counted()
    for kind, n in taken.items():
        if kind in CONTAINERS:
            assert found[kind] >= n, kind
        elif kind != "sessions":
            assert found[kind] == n, (
                kind,
                list(ItemCount.objects.filter(item_type=kind).values_list("outcome", "n")),
            )
    outcomes = Counter(dict(ItemCount.objects.filter(item_type="event").values_list("outcome", "n")))
    assert ErrorEvent.objects.count() == outcomes["stored"]
    aside = sum(ItemCount.objects.filter(outcome="set_aside").values_list("n", flat=True))
    assert SetAside.objects.count() == aside


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("door", "part"), PARTS)
def test_hostile_requests_are_taken_and_counted_or_refused_by_name(door, part):
    project, taken = make_project(), Counter()

    @settings(
        max_examples=max(1, INPUTS // ROUND), deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(st.integers(0, 2**64))
    def attack(seed):
        rnd = random.Random(f"{seed} {door} {part}")
        requests = [hostile.of_door(door, rnd, project.pk) for _ in range(ROUND)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for one in pool.map(answered, requests):
                taken.update(one)
        settled(taken)

    attack()
    assert taken, "nothing was taken: nothing was tried"
