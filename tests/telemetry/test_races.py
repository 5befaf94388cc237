"""Several drains at once: nothing is counted twice, nothing is lost, and nobody waits in a ring."""

import random

import pytest

from apps.telemetry import histogram
from apps.telemetry.models import (
    ActiveUserDay,
    RequestDay,
    RequestHour,
    RequestMinute,
    SessionHour,
    SessionUserDay,
    TrackedEvent,
    TrackedHour,
    TrackedMinute,
    TrackedUserDay,
)
from apps.telemetry.reported import ActiveUser
from apps.telemetry.storing import store_batch
from tests.at_once import at_once
from tests.telemetry.make import NOW, make_counts, make_project, make_request, make_tracked, make_update, user

DRAINS, BATCH = 4, 40


def in_batches(items, number):
    own = random.Random(number).sample(items, len(items))
    return [own[at : at + BATCH] for at in range(0, len(own), BATCH)]


def total(model, column="n"):
    return sum(model.objects.values_list(column, flat=True))


@pytest.mark.django_db(transaction=True)
def test_the_same_requests_stored_by_four_drains_at_once_are_counted_once():
    project, dice = make_project(), random.Random(1)
    requests = [
        make_request(
            project.pk, f"/{dice.randrange(9)}", duration_ms=dice.expovariate(0.01), failed=dice.random() < 0.1,
            component_name=dice.choice(("Journal", "Payments")), user_hash=user(str(dice.randrange(30))),
            time_is_usable=dice.random() < 0.8,
        )
        for _ in range(400)
    ]  # fmt: skip
    stored = at_once(
        DRAINS, lambda n: sum(sum(store_batch(requests=b).requests.values()) for b in in_batches(requests, n))
    )
    assert sum(stored) == 400
    for model in (RequestMinute, RequestHour, RequestDay):
        assert (total(model), total(model, "timed")) == (400, 400)
        assert total(model, "failed") == sum(r.failed for r in requests)
        merged = histogram.merged(histogram.from_json(row.durations) for row in model.objects.all())
        assert merged == histogram.counted(r.duration_ms for r in requests)
    assert ActiveUserDay.objects.count() == len({r.user_hash for r in requests})


@pytest.mark.django_db(transaction=True)
def test_the_same_tracked_events_stored_by_four_drains_at_once_are_counted_once():
    project, dice = make_project(), random.Random(2)
    events = [
        make_tracked(
            project.pk, dice.choice(("feature_used", "client_error")), subject=f"f{dice.randrange(7)}",
            user_hash=user(str(dice.randrange(30))), time_is_usable=dice.random() < 0.5, severity="Minor",
        )
        for _ in range(400)
    ]  # fmt: skip
    stored = at_once(
        DRAINS, lambda n: sum(sum(store_batch(tracked=b).tracked.values()) for b in in_batches(events, n))
    )
    assert sum(stored) == TrackedEvent.objects.count() == total(TrackedHour) == 400
    deeds = {(e.name, e.subject, e.user_hash[:16]) for e in events}
    assert {(d.name, d.subject, d.user_key.bytes) for d in TrackedUserDay.objects.all()} == deeds


@pytest.mark.django_db(transaction=True)
def test_updates_of_the_same_sessions_stored_by_four_drains_at_once_count_as_the_last_of_each():
    project, dice = make_project(), random.Random(3)
    updates, last = [], {}
    for number in range(60):
        session_id = f"{number:032x}"
        for seq in range(5):
            outcome = dice.choice(("healthy", "errored", "abnormal", "crashed"))
            updates.append(
                make_update(
                    project.pk, session_id, seq=seq, outcome=outcome, user_hash=user(str(number % 20))
                )
            )
            last[session_id] = outcome
    at_once(DRAINS, lambda n: [store_batch(updates=b) for b in in_batches(updates, n)])
    for outcome in ("healthy", "errored", "abnormal", "crashed"):
        assert total(SessionHour, outcome) == list(last.values()).count(outcome)
    assert SessionUserDay.objects.count() == 20


def any_of(dice, make, project, **choices):
    """Thirty in an order of their own: whoever locks rows as they come meets another drain that does so too."""
    return [make(project.pk, **{k: v(dice) for k, v in choices.items()}) for _ in range(30)]


def place(dice):
    return f"/{dice.randrange(12)}"


KINDS = {
    "requests": lambda dice, project: {"requests": any_of(dice, make_request, project, endpoint=place)},
    "tracked": lambda dice, project: {
        "tracked": any_of(
            dice,
            make_tracked,
            project,
            subject=place,
            user_hash=lambda d: user(place(d)),
            severity=lambda d: "Minor",
        )
    },
    "sessions": lambda dice, project: {
        "updates": any_of(dice, make_update, project, release=place, user_hash=lambda d: user(place(d))),
        "counts": any_of(dice, make_counts, project, release=place, healthy=lambda d: 1),
    },
    "active": lambda dice, project: {
        "active": [ActiveUser(project.pk, NOW, user(place(dice))) for _ in range(30)]
    },
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_drains_that_meet_on_the_same_rows_do_not_wait_in_a_ring(kind):
    project = make_project()

    def write(number):
        dice = random.Random(number)
        for _ in range(15):
            store_batch(**KINDS[kind](dice, project))

    at_once(DRAINS, write)
    if kind == "requests":
        assert total(RequestMinute) == total(RequestHour) == total(RequestDay) == DRAINS * 15 * 30
    if kind == "tracked":
        assert total(TrackedHour) == total(TrackedMinute) == DRAINS * 15 * 30
    if kind == "sessions":
        assert total(SessionHour, "healthy") == 2 * DRAINS * 15 * 30


@pytest.mark.django_db(transaction=True)
def test_everything_at_once_from_several_drains_does_not_deadlock_and_adds_up():
    project = make_project()

    def write(number):
        dice = random.Random(number)
        for _ in range(10):
            store_batch(
                tracked=[make_tracked(project.pk, subject=str(dice.randrange(5))) for _ in range(10)],
                requests=[make_request(project.pk, f"/{dice.randrange(5)}") for _ in range(10)],
                updates=[make_update(project.pk, release=str(dice.randrange(5))) for _ in range(10)],
                counts=[
                    make_counts(project.pk, NOW, release=str(dice.randrange(5)), healthy=1) for _ in range(10)
                ],
            )

    at_once(DRAINS, write)
    assert total(TrackedHour) == total(RequestDay) == DRAINS * 100
    assert total(SessionHour, "healthy") == DRAINS * 200
