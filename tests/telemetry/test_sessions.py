"""What sessions become: one outcome each, or counts of them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.telemetry import sessions
from tests.telemetry.make import NOW, make_intake, read_session, sent_session, user


def aggregates(*buckets, **changed):
    return {"aggregates": list(buckets), "attrs": {"release": "1.0", "environment": "production"}} | changed


@pytest.mark.parametrize(
    ("status", "errors", "outcome"),
    [
        ("ok", 0, "healthy"), ("ok", 2, "errored"), ("exited", 0, "healthy"), ("exited", 1, "errored"),
        ("errored", 0, "errored"), ("unhandled", 1, "errored"), ("crashed", 1, "crashed"), ("abnormal", 0, "abnormal"),
        ("crashed", 0, "crashed"), ("ok", "many", "healthy"), ("ok", True, "healthy"),
    ],
)  # fmt: skip
def test_each_session_has_one_outcome(status, errors, outcome):
    assert read_session(status=status, errors=errors).outcome == outcome


def test_an_update_keeps_what_tells_it_apart():
    found = read_session(sid="7c7b6585-f901-4351-bf8d-02711b721929", seq=3)
    assert (found.session_id, found.seq, found.release, found.environment) == (
        "7c7b6585f9014351bf8d02711b721929", 3, "1.0", "production",
    )  # fmt: skip
    assert (found.started_at, found.user_hash) == (NOW, user("17"))


def test_updates_without_a_number_are_ordered_by_when_they_were_sent():
    first = read_session(seq=None, timestamp=NOW.isoformat())
    second = read_session(seq=None, timestamp=(NOW + timedelta(seconds=1)).isoformat())
    assert first.seq < second.seq


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sid": None}, "sid"), ({"sid": "x"}, "sid"), ({"sid": "0" * 32}, "sid"), ({"started": None}, "started"),
        ({"started": "soon"}, "started"), ({"status": "fine"}, "status"), ({"status": []}, "status"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_update_is_said_by_name(changed, field):
    with pytest.raises(Refused) as refused:
        read_session(**changed)
    assert refused.value.field == field


@pytest.mark.parametrize("away", [timedelta(hours=-73), timedelta(minutes=6)])
def test_a_session_of_long_ago_or_of_the_future_is_late(away):
    with pytest.raises(sessions.LateSession):
        read_session(started=(NOW + away).isoformat())


def test_counts_of_a_server_are_taken_bucket_by_bucket():
    found, late = sessions.counts_of(
        aggregates(
            {"started": NOW.isoformat(), "exited": 10, "errored": 2, "crashed": 1, "did": "17"},
            {"started": (NOW - timedelta(minutes=1)).isoformat(), "abnormal": 3, "unhandled": 4},
        ),
        make_intake(),
    )
    assert [(c.healthy, c.errored, c.abnormal, c.crashed) for c in found] == [(10, 2, 0, 1), (0, 4, 3, 0)]
    assert [c.user_hash for c in found] == [user("17"), None]
    assert {(c.release, c.environment) for c in found} == {("1.0", "production")}
    assert late == 0


def test_a_late_bucket_is_left_out_and_said():
    old = (NOW - timedelta(hours=80)).isoformat()
    found, late = sessions.counts_of(
        aggregates({"started": old, "exited": 3}, {"started": NOW.isoformat(), "exited": 2}), make_intake()
    )
    assert ([c.healthy for c in found], late) == ([2], 1)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ([], "sessions"), ({}, "aggregates"), (aggregates(aggregates=7), "aggregates"),
        (aggregates(*[{"started": NOW.isoformat()}] * 101), "aggregates"), (aggregates("x"), "aggregates[0]"),
        (aggregates({"started": 7e20}), "aggregates[0].started"),
        (aggregates({"started": NOW.isoformat(), "exited": -1}), "aggregates[0].exited"),
        (aggregates({"started": NOW.isoformat(), "crashed": True}), "aggregates[0].crashed"),
        (aggregates({"started": NOW.isoformat()}, {"started": 1779278400, "errored": "2"}), "aggregates[1].errored"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_counts_is_said_by_name(item, field):
    with pytest.raises(Refused) as refused:
        sessions.counts_of(item, make_intake())
    assert refused.value.field == field


@given(
    st.dictionaries(
        st.sampled_from(sorted(sent_session())),
        st.none()
        | st.text(max_size=20)
        | st.integers()
        | st.lists(st.integers(), max_size=2)
        | st.booleans(),
    )
)
def test_anything_at_all_becomes_an_update_or_is_refused_by_name(changed):
    try:
        found = read_session(**changed)
    except Refused as refused:
        assert refused.field
        return
    assert found.outcome in ("healthy", "errored", "abnormal", "crashed")
    assert len(found.release) <= 200
    assert len(found.environment) <= 64
