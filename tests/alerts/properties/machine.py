"""The rules by which Hypothesis writes histories of the pager."""

import sys
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.alerts.properties.world import World

WORKERS = st.integers(0, 1)
PICK = st.integers(0, 5)
OUTCOMES = st.sampled_from(["sent", "sent", "transient", "ambiguous", "permanent", "bad_message"])
VERBS = st.sampled_from(["acknowledge", "resolve"])


class Pager(RuleBasedStateMachine):
    """Two workers, one provider, people who act, a clock that jumps.

    Rules have no preconditions but do nothing where they do not fit: which of two real workers was first may differ
    when a history is run again, and what Hypothesis draws must not hang on it.
    """

    def __init__(self):
        super().__init__()
        self.world = World()
        self.world.trigger("a", "error", self.world.policies[0])
        self.world.escalate()

    def teardown(self):
        try:
            if sys.exception() is None:  # a history that broke a promise has said so
                self.world.settle()
        finally:
            self.world.put_away()

    def _alert(self, pick):
        return list(self.world.alerts)[pick % len(self.world.alerts)]

    @rule(key=st.sampled_from("abc"), severity=st.sampled_from(["error", "critical"]), pick=PICK)
    def trigger(self, key, severity, pick):
        policies = self.world.policies
        self.world.trigger(key, severity, policies[pick % len(policies)] if policies else None)

    @rule(pick=st.integers(0, 9), verb=VERBS, stale=st.sampled_from([0, 0, 0, 1]))
    def act(self, pick, verb, stale):
        if pick >= len(self.world.alerts):  # people mostly sleep: else nothing would be left to page for
            return
        pk = self._alert(pick)
        self.world.act(verb, pk, self.world.alerts[pk][1] - stale)

    @rule(twice=st.booleans())
    def escalate(self, twice):
        self.world.escalate(twice)

    @rule(worker=WORKERS)
    def claim(self, worker):
        if self.world.hands[worker] is None:
            self.world.claim(worker)

    @rule()
    def claim_both(self):
        if self.world.hands == [None, None]:
            self.world.claim_both()

    @rule(pick=PICK, verb=VERBS)
    def claim_while(self, pick, verb):
        if self.world.hands[0] is None:
            self.world.claim_while(verb, self._alert(pick))

    @rule(worker=WORKERS, outcome=OUTCOMES, arrives=st.booleans())
    def send(self, worker, outcome, arrives):
        held = self.world.hands[worker]
        if held and not held.outcome:
            self.world.tell(held, outcome, arrives)

    @rule(worker=WORKERS)
    def record(self, worker):
        held = self.world.hands[worker]
        if held and held.outcome:
            self.world.record(held)
            self.world.hands[worker] = None

    @rule(worker=WORKERS)
    def die(self, worker):
        self.world.hands[worker] = None

    @rule(worker=WORKERS, verb=VERBS)
    def die_while_somebody_acts(self, worker, verb):
        held = self.world.hands[worker]
        if held and held.page.alert_id:
            self.world.act(verb, held.page.alert_id, self.world.alerts[held.page.alert_id][1])
            self.world.hands[worker] = None
            self.world.now += timedelta(seconds=61)

    @rule(worker=WORKERS)
    def fall_asleep(self, worker):
        held = self.world.hands[worker]
        if held:
            self.world.slow.append(held)
            self.world.hands[worker] = None

    @rule(worker=WORKERS)
    def oversleep_and_lose_the_page(self, worker):
        held = self.world.hands[worker]
        if held:
            self.world.slow.append(held)
            self.world.now += timedelta(seconds=61)
            self.world.hands[worker] = None
            self.world.claim(worker)

    @rule(pick=PICK)
    def wake_up(self, pick):
        if not self.world.slow:
            return
        held = self.world.slow.pop(pick % len(self.world.slow))
        if not held.outcome:
            self.world.tell(held, "sent", True)
        self.world.record(held)

    @rule(seconds=st.sampled_from([1, 5, 30, 61, 61, 400, 4000, 90_000, -30, -4000]))
    def clock(self, seconds):
        self.world.now += timedelta(seconds=seconds)

    @rule(twice=st.booleans(), seconds=st.sampled_from([61, 400, 90_000]))
    def nobody_works_after_a_step(self, twice, seconds):
        self.world.escalate(twice)
        self.world.now += timedelta(seconds=seconds)

    @rule(pick=PICK, how=st.sampled_from(["hurry", "empty", "more", "delete"]))
    def edit_policy(self, pick, how):
        if policies := self.world.policies:
            self.world.edit_policy(policies[pick % len(policies)], how)
