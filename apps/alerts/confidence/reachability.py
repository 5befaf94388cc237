"""Whether everybody whom the next days may page can be reached, and whether somebody is there at all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.alerts import escalation, planning
from apps.alerts.confidence import ways
from apps.alerts.confidence.ways import Person
from apps.alerts.escalation import PersonFacts, PolicyFacts
from apps.alerts.models import EscalationPolicy
from apps.alerts.oncall import facts as oncall_facts
from apps.alerts.oncall import rotations
from apps.alerts.oncall.queries import zones_of

DAYS = 7


@dataclass(frozen=True)
class Because:
    """Why somebody may be paged: by which policy, and as what; on call from when, where it is by schedule."""

    policy: str
    as_what: str
    starts: datetime | None = None


@dataclass(frozen=True)
class Reached:
    """One person: the state of their best way, of each way, and why they may be paged; the first duty first."""

    person: Person
    state: str
    ways: tuple[tuple[ways.Way, str], ...]
    because: tuple[Because, ...]
    zone: str

    @property
    def bad(self) -> bool:
        """Not to be relied on."""
        return ways.is_bad(self.state)

    @property
    def words(self) -> str:
        """Of the state."""
        return ways.WORDS[self.state]

    @property
    def first(self) -> datetime | None:
        """When their first duty begins; None where they may be paged at any time."""
        times = [one.starts for one in self.because]
        return min((at for at in times if at), default=None) if all(times) else None


@dataclass(frozen=True)
class Gap:
    """Nobody is on call by a schedule. `nobody`: then no step of the policy reaches anybody."""

    schedule: str
    schedule_id: int
    policy: str
    starts: datetime
    ends: datetime
    nobody: bool


@dataclass
class Audit:
    """The next days. `problems`: what is red, in sentences."""

    start: datetime
    end: datetime
    people: list[Reached] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    policies: int = 0

    @property
    def problems(self) -> list[Reached | Gap]:
        """People first, then gaps that nobody covers."""
        return [*(one for one in self.people if one.bad), *(gap for gap in self.gaps if gap.nobody)]

    @property
    def ok(self) -> bool:
        """Everybody can be reached, and somebody is always there."""
        return bool(self.policies) and not self.problems

    @property
    def sentence(self) -> str:
        """The verdict."""
        if not self.policies:
            return "There is no escalation policy: nothing pages anybody."
        bad, gaps = sum(one.bad for one in self.people), sum(gap.nobody for gap in self.gaps)
        said = []
        if bad:
            said.append(f"{bad} of {len(self.people)} people may not be reached")
        if gaps:
            said.append(f"{gaps} {'gap' if gaps == 1 else 'gaps'} that nobody covers")
        return (
            f"{', '.join(said)}." if said else f"All {len(self.people)} people can be reached, at any time."
        )


def audit(*, now: datetime, days: int = DAYS) -> Audit:
    """Of every policy, from `now` for so many days: a fixed number of statements."""
    policies = list(EscalationPolicy.objects.all())
    made = Audit(now, now + timedelta(days=days), policies=len(policies))
    facts, schedules = _facts(policies, now)
    names = {step.schedule.id: step.schedule_name for one in facts for step in one.steps if step.schedule}
    shifts = {pk: rotations.shifts(duty, now, made.end) for pk, duty in schedules.items()}
    because = _because(facts, shifts)
    people, zones = ways.people(because), zones_of(because)
    made.people = [
        _reached(person, because[pk], now, zones[pk].key) for pk, person in people.items()
    ]  # fmt: skip
    made.people.sort(key=lambda one: (not one.bad, -ways.ORDER.index(one.state), one.person.name))
    known = planning.people_facts(because)
    for one in facts:
        used = {step.schedule.id for step in one.steps if step.schedule}
        for pk in sorted(used):
            for gap in rotations.gaps(shifts[pk]):
                nobody = _reaches_nobody(one, known, gap, [shifts[other] for other in used])
                made.gaps.append(Gap(names[pk], pk, one.name, gap.starts, gap.ends, nobody))
    made.gaps.sort(key=lambda gap: (not gap.nobody, gap.starts))
    return made


def _facts(
    policies: list[EscalationPolicy], now: datetime
) -> tuple[list[PolicyFacts], Mapping[int, rotations.Schedule]]:
    """Policies as the plan wants them, and the schedules that they use."""
    planning.with_steps(policies)
    scheduled = {step.schedule for policy in policies for step in policy.steps.all() if step.schedule}
    duties = oncall_facts.facts_of(scheduled, now) if scheduled else {}
    return [planning.policy_facts(policy, duties) for policy in policies], duties


def _because(
    facts: Iterable[PolicyFacts], shifts: Mapping[int, list[rotations.Shift]]
) -> dict[int, list[Because]]:
    """Everybody who may be paged, each with the reasons, a schedule by its first shift in the range."""
    found: dict[int, list[Because]] = defaultdict(list)
    for policy in facts:
        for step in policy.steps:
            for user_id in step.user_ids:
                found[user_id].append(
                    Because(policy.name, f"team {step.team}" if step.team else "named in a step")
                )
            if step.schedule:
                for user_id, starts in _first_shifts(shifts[step.schedule.id]).items():
                    found[user_id].append(Because(policy.name, step.schedule_name, starts))
        found[policy.fallback_user_id].append(Because(policy.name, "fallback"))
    return {pk: list(dict.fromkeys(reasons)) for pk, reasons in found.items()}


def _first_shifts(found: list[rotations.Shift]) -> dict[int, datetime]:
    firsts: dict[int, datetime] = {}
    for shift in found:
        for person in shift.people:
            firsts.setdefault(person, shift.starts)
    return firsts


def _reached(person: Person, because: list[Because], now: datetime, zone: str) -> Reached:
    fresh = ways.fresh()
    each = tuple((way, way.state(now, fresh)) for way in person.ways)
    return Reached(person, person.state(now, fresh), each, tuple(because), zone)


def _reaches_nobody(
    policy: PolicyFacts, people: Mapping[int, PersonFacts], gap: rotations.Shift,
    used: Iterable[list[rotations.Shift]],
) -> bool:  # fmt: skip
    """Whether at some moment of the gap the plan pages nobody: asked where any schedule of the policy changes."""
    edges = {shift.starts for shifts in used for shift in shifts if gap.starts <= shift.starts < gap.ends}
    return any(escalation.plan(policy, people, at).reaches_nobody for at in sorted({gap.starts, *edges})[:50])
