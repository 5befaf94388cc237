"""A replay of the past is the live judge, stepped: the looks that it leaves out change nothing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.rule_history.replay import Episode, Steps, replay
from apps.alerts.rule_history.windows import Sums, changes, distinct, failed_percent, total
from apps.alerts.rules import Condition, Memory, Reading, Terms, judge

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(look):
    return START + look * MINUTE


def every_look(terms, readings):
    """The oracle: each look judged, as the watch tick does it."""
    memory, firing, episodes = Memory(), False, []
    for look, reading in enumerate(readings):
        verdict = judge(terms, memory, reading, at(look), firing=firing)
        memory = verdict.memory
        if verdict.act == "fire" and not firing:
            firing = True
            episodes.append([at(look), None])
        elif verdict.act == "resolve":
            firing, episodes[-1][1] = False, at(look)
    return [tuple(episode) for episode in episodes]


_readings = st.one_of(
    st.just(Reading(None)), st.integers(0, 6).map(lambda n: Reading(float(n), n))
)  # fmt: skip
_terms = st.builds(
    Terms,
    st.builds(Condition, st.just("errorCount"), st.sampled_from([">", ">=", "<", "<=", "=="]), st.integers(0, 5)),
    for_s=st.sampled_from([0, 30, 60, 90, 240]),
    minimum=st.integers(0, 4),
    resolve_after_s=st.sampled_from([0, 45, 60, 300]),
    ratio=st.booleans(),
)  # fmt: skip


@given(_terms, st.lists(st.tuples(_readings, st.integers(1, 9)), max_size=25))
def test_leaving_out_looks_changes_nothing(terms, runs):
    readings, points = [], []
    for reading, length in runs:
        points.append((len(readings), reading))
        readings += [reading] * length
    found = replay(terms, 7, points, Steps(START, MINUTE, len(readings)))
    assert [(e.fired_at, e.resolved_at) for e in found] == every_look(terms, readings)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 12))
def test_a_window_holds_the_buckets_before_its_look(counts, width):
    buckets = {i: Sums(n={"": n}) for i, n in enumerate(counts) if n}
    found = dict(changes({i: _sums(b) for i, b in buckets.items()}, width, total))
    value = Reading(0.0, 0)
    for look in range(len(counts) + width + 2):
        value = found.get(look, value)
        assert value.value == sum(counts[max(look - width, 0) : look])


def _sums(bucket):
    made = Sums()
    made.add(bucket)
    return made


def test_an_episode_says_how_long_and_how_bad():
    terms = Terms(Condition("errorCount", ">", 2), resolve_after_s=120)
    points = [(1, Reading(3.0, 3)), (2, Reading(9.0, 9)), (4, Reading(4.0, 4)), (5, Reading(0.0, 0))]
    (episode,) = replay(terms, 7, points, Steps(START, MINUTE, 30))
    assert episode == Episode(7, at(1), at(7), 9.0)
    assert episode.lasted(at(30)) == timedelta(minutes=6)


def test_what_only_people_resolve_stays_open():
    terms = Terms(Condition("errorCount", ">", 2))
    (episode,) = replay(terms, 7, [(1, Reading(3.0, 3)), (2, Reading(0.0, 0))], Steps(START, MINUTE, 9))
    assert (episode.resolved_at, episode.lasted(at(9))) == (None, timedelta(minutes=8))


def test_without_requests_a_share_is_no_data_and_endpoints_are_counted_once():
    assert failed_percent(Sums()) == Reading(None)
    window = Sums()
    for key, n in (("/a", 3), ("/b", 1), ("told", 2)):
        window.n[key] += n
    assert distinct(3)(window).value == 2 + 3 * 2
