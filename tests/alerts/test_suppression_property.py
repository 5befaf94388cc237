"""P11: windows started, ended and edited at any time give the state that continuous evaluation gives.

The oracle knows nothing of reasons, ticks or windows of the engine: it asks a clock on the wall, minute by minute,
which of the things written are in force, and which open alerts they name.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.alerts import services
from apps.alerts.models import Alert, Suppression
from apps.alerts.services import Act
from apps.alerts.suppression import keeping
from apps.alerts.suppression import services as suppressions

from .make import make_alert, make_component, make_policy, make_user
from .make_suppression import run_of
from .test_occurrences import weekly_by_clock

pytestmark = pytest.mark.django_db

COMPONENTS = ("Database", "Payments", "Search")
START = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)  # two hours before the clock is set back in Berlin
ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class Plan:
    """Something written, as the oracle knows it; minutes count from START."""

    kind: str
    target: str
    begin: int = 0
    length: int = 60
    source: str = ""
    day: int = 0
    wall: int = 0
    until: int = 60
    over: bool = False

    def in_force(self, minute: int) -> bool:
        if self.over or minute < self.begin:
            return False
        if self.kind == "weekly":
            return weekly_by_clock(self.day, self.wall, self.until, ZONE, START + timedelta(minutes=minute))
        return minute < self.begin + self.length

    def names(self, component: str, firing: set[str]) -> bool:
        if self.kind != "inhibition":
            return component == self.target
        return component == self.target and self.source in firing and self.source != self.target

    def row(self) -> Suppression:
        begin = START + timedelta(minutes=self.begin)
        row = Suppression(matchers=f'component="{self.target}"', reason="Planned", starts_at=begin)
        if self.kind == "weekly":
            row.kind, row.repeats, row.zone = "maintenance", "weekly", ZONE
            end = (self.wall + self.until) % 1440
            row.windows = f"{('Sat', 'Sun')[self.day - 5]} {clock(self.wall)}-{clock(end)}"
            return row
        row.kind, row.ends_at = self.kind, begin + timedelta(minutes=self.length)
        row.source_matchers = f'component="{self.source}"' if self.kind == "inhibition" else ""
        return row


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass
class World:
    """The portal, and beside it what the oracle remembers."""

    minute: int = 0
    plans: list[Plan] = field(default_factory=list)
    rows: list[Suppression] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def act(self) -> Act:
        return Act(by="alice", at=self.now, via="admin", actor=make_user("alice"))

    def write(self, plan: Plan) -> None:
        plan = replace(plan, begin=self.minute + plan.begin)
        self.rows.append(suppressions.create(row=plan.row(), now=self.now, actor=make_user("bob")))
        self.plans.append(plan)

    def edit(self, number: int, plan: Plan) -> None:
        living = [n for n, one in enumerate(self.plans) if not one.over]
        if living:
            at = living[number % len(living)]
            plan = replace(plan, begin=self.minute + plan.begin)
            row = plan.row()
            row.pk, row._state.adding = self.rows[at].pk, False
            row.created_at = self.rows[at].created_at
            self.rows[at] = suppressions.change(row=row, now=self.now, actor=make_user("bob"))
            self.plans[at] = plan

    def end(self, number: int) -> None:
        if self.plans:
            at = number % len(self.plans)
            suppressions.end(row=self.rows[at], now=self.now, actor=make_user("bob"))
            self.plans[at] = replace(self.plans[at], over=True)

    def fire(self, component: str) -> None:
        policy = make_policy((0, make_user("alice")))
        self.alerts[component] = make_alert(
            policy, key=component, now=self.now, component=make_component(component)
        )

    def acknowledge(self, component: str) -> None:
        if component in self.alerts:
            services.acknowledge(alert=self.alerts[component], act=self.act())
            self.taken.add(component)

    def resolve(self, component: str) -> None:
        if alert := self.alerts.pop(component, None):
            services.resolve(alert=alert, act=self.act())
            self.taken.discard(component)

    def check(self) -> None:
        """Tick once, then compare with the oracle."""
        keeping.keep(now=self.now)
        firing = set(self.alerts)
        for component, alert in self.alerts.items():
            muted = any(plan.in_force(self.minute) and plan.names(component, firing) for plan in self.plans)
            assert Alert.objects.get(pk=alert.pk).suppressed is muted, (self.minute, component, self.plans)
            wanted = "stopped" if component in self.taken else "paused" if muted else "active"
            assert run_of(alert).state == wanted, (self.minute, component)


components = st.sampled_from(COMPONENTS)
plans = st.one_of(
    st.builds(Plan, st.just("silence"), components, st.integers(0, 90), st.integers(1, 120)),
    st.builds(Plan, st.just("maintenance"), components, st.integers(0, 90), st.integers(1, 120)),
    st.builds(Plan, st.just("inhibition"), components, st.integers(0, 30), st.integers(1, 200), components),
    st.builds(
        Plan, st.just("weekly"), components, st.integers(0, 60), day=st.integers(5, 6), wall=st.integers(0, 360),
        until=st.integers(1, 300),
    ),
)  # fmt: skip
steps = st.tuples(
    st.sampled_from([0, 1, 7, 29, 30, 60, 95]),
    st.one_of(
        st.tuples(st.just("write"), plans),
        st.tuples(st.just("edit"), st.integers(0, 5), plans),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("fire"), components),
        st.tuples(st.just("fire"), components),
        st.tuples(st.just("acknowledge"), components),
        st.tuples(st.just("resolve"), components),
    ),
)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=2, max_size=12))
def test_whatever_is_written_ended_or_edited_whenever_the_state_is_that_of_continuous_evaluation(history):
    with transaction.atomic():
        world = World()
        for wait, (verb, *given_) in history:
            world.minute += wait
            if verb == "fire" and given_[0] in world.alerts:
                continue
            getattr(world, verb)(*given_)
            world.check()
        for _ in range(4):
            world.minute += 31
            world.check()
        transaction.set_rollback(True)
