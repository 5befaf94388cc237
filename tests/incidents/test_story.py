"""Any history of an incident, by people and machines with bad clocks: stamps stay ordered, the timeline only grows."""

import os

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from apps.audit.models import AuditEvent
from apps.incidents import corrections, durations, services, states
from apps.incidents.models import Incident
from tests.incidents.make import at, make_component, make_person, make_project

SECONDS = st.integers(-4000, 4000)
PEOPLE = st.sampled_from([("alice", "Responder"), ("bob", "Commander"), ("mallory", "Viewer")])


class History(RuleBasedStateMachine):
    """The clock may stand still or run back between two acts, as the clocks of two servers do."""

    @initialize(began=st.integers(-4000, 0), severity=st.sampled_from(["critical", "warning"]))
    def opened(self, began, severity):
        self.mark = transaction.atomic()
        self.mark.__enter__()
        self.seen = {}
        self.incident = services.open_incident(
            title="It fails", project=make_project(), severity=severity, components=[make_component()],
            began_at=at(began), now=at(0),
        )  # fmt: skip

    def teardown(self):
        if hasattr(self, "mark"):
            transaction.set_rollback(True)
            self.mark.__exit__(None, None, None)

    def attempt(self, act, **given):
        """Done, or refused without a trace."""
        before = self.row(), self.incident.timeline.count(), AuditEvent.objects.count()
        try:
            with transaction.atomic():
                return act(incident=Incident.objects.get(pk=self.incident.pk), **given)
        except (ValidationError, PermissionDenied):
            assert (self.row(), self.incident.timeline.count(), AuditEvent.objects.count()) == before

    def row(self):
        return Incident.objects.filter(pk=self.incident.pk).values().get()

    @rule(
        verb=st.sampled_from(states.verbs(states.INCIDENT_MOVES)),
        who=PEOPLE,
        now=SECONDS,
        stale=st.booleans(),
    )
    def moves(self, verb, who, now, stale):
        version = self.row()["version"] - stale
        self.attempt(
            services.move, verb=verb, actor=make_person(*who), now=at(now), reason="So.", version=version
        )

    @rule(now=SECONDS)
    def acknowledged(self, now):
        first = self.row()["acknowledged_at"] is None and self.row()["state"] in states.INCIDENT_OPEN
        assert self.attempt(services.acknowledge, by="alice", at=at(now), via="slack") is first

    @rule(now=SECONDS)
    def alert_ends(self, now):
        open_ = self.row()["state"] in states.INCIDENT_OPEN
        assert self.attempt(services.mark_resolved, by="alert", at=at(now), via="alerts") is open_

    @rule(stamp=st.sampled_from(durations.STAMPS), to=SECONDS | st.none(), now=SECONDS)
    def corrected(self, stamp, to, now):
        when = None if to is None else at(to)
        bob = make_person("bob", "Commander")
        self.attempt(corrections.correct_stamp, stamp=stamp, at=when, reason="So.", actor=bob, now=at(now))

    @rule(severity=st.sampled_from(["critical", "error", "warning", "info"]), who=PEOPLE, now=SECONDS)
    def rated(self, severity, who, now):
        self.attempt(corrections.change_severity, severity=severity, actor=make_person(*who), now=at(now))

    @rule(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=20), who=PEOPLE, now=SECONDS)
    def noted(self, text, who, now):
        self.attempt(services.add_note, text=text, actor=make_person(*who), now=at(now))

    @invariant()
    def stamps_are_ordered(self):
        if hasattr(self, "incident"):
            row = self.row()
            assert durations.disorder({name: row[name] for name in durations.STAMPS}) is None
            assert (row["resolved_at"] is not None) == (row["state"] in ("resolved", "closed"))

    @invariant()
    def the_timeline_only_grows(self):
        if hasattr(self, "incident"):
            now = {entry["id"]: entry for entry in self.incident.timeline.values()}
            assert {pk: now.get(pk) for pk in self.seen} == self.seen
            self.seen = now


@pytest.mark.django_db
def test_stamps_stay_ordered_and_the_timeline_only_grows():
    long = os.environ.get("PORTAL_CI") == "1"
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=60 if long else 10, stateful_step_count=30 if long else 12, deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),  # explaining takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
