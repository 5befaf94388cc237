"""Who is paged when: one pure function makes the plan, which the engine runs, the editor previews, the
tests assert.

The plan is frozen when an escalation begins; editing the policy afterwards changes nothing in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from apps.alerts.gates import Gate, said, why_shut
from apps.alerts.oncall import rotations

CLOSE_AFTER_S = 300
LOOK_AGAIN_S = 30
_LONGEST_S = 7 * 86_400
_HIGH = ("critical", "error")  # the severities that tell people at once


# --- Facts that go in ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class MethodFacts:
    """One way to reach a person; `id` is None for the account's own e-mail address. `urgency` is the one that it is
    kept for, high or low; empty for both."""

    id: int | None
    kind: str
    address: str
    urgency: str = ""


@dataclass(frozen=True)
class PersonFacts:
    """A person and their usable contact methods in their own order; `unverified` are those that are left out."""

    user_id: int
    label: str
    active: bool
    methods: tuple[MethodFacts, ...]
    unverified: tuple[str, ...] = ()

    def when(self, urgency: str) -> "PersonFacts":
        """With the ways that are kept for this urgency; with all of them where none is, sooner than with no page."""
        fitting = tuple(m for m in self.methods if m.urgency in ("", urgency))
        return self if fitting in ((), self.methods) else replace(self, methods=fitting)


@dataclass(frozen=True)
class ChannelFacts:
    """A channel of a step."""

    id: int
    label: str
    kind: str
    address: str
    enabled: bool
    broken: bool = False


@dataclass(frozen=True)
class StepFacts:
    """A step as it is written in the policy; a team is given as its members, a schedule as its layers.

    `turn` counts how often a round robin began before; `urgency` is high, low, or empty for that of the alert.
    """

    wait_before_s: int
    kind: str
    user_ids: tuple[int, ...] = ()
    team: str = ""
    channel: ChannelFacts | None = None
    schedule: rotations.Schedule | None = None
    schedule_name: str = ""
    gate: Gate | None = None
    turn: int = 0
    urgency: str = ""
    skip_if_empty: bool = True
    require_all: bool = False


@dataclass(frozen=True)
class PolicyFacts:
    """A policy as it stands. `repeat_count` is the number of further rounds, `repeat_wait_s` the wait before each."""

    name: str
    steps: tuple[StepFacts, ...]
    repeat_count: int
    repeat_wait_s: int
    fallback_user_id: int


# --- The plan that comes out --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Target:
    """One address to page. `then` are the further ways to reach the same person, tried when this one fails."""

    kind: str
    address: str
    label: str
    user_id: int | None = None
    channel_id: int | None = None
    method_id: int | None = None
    then: tuple["Target", ...] = ()


@dataclass(frozen=True)
class PlannedStep:
    """Targets of a step, the wait before it, and why somebody in it is not paged (shown red).

    `later` are the targets of each further round where a schedule has somebody else by then; empty when all rounds
    are alike. `notes` say why a gate leaves it out. A step that pages nobody is passed without its wait unless
    `waits_empty`.
    """

    wait_s: int
    targets: tuple[Target, ...]
    problems: tuple[str, ...] = ()
    later: tuple[tuple[Target, ...], ...] = ()
    notes: tuple[str, ...] = ()
    urgency: str = ""
    waits_empty: bool = False
    require_all: bool = False

    def in_round(self, cycle: int) -> tuple[Target, ...]:
        """Targets of a round, 0 being the first."""
        return self.later[cycle - 1] if cycle and self.later else self.targets


@dataclass(frozen=True)
class Plan:
    """A frozen run: steps, further rounds, and the fallback for when nobody was reached."""

    policy: str
    made_at: str
    steps: tuple[PlannedStep, ...]
    repeat_count: int
    repeat_wait_s: int
    fallback: tuple[Target, ...]
    problems: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As it is stored on the escalation."""
        return asdict(self)

    @property
    def reaches_nobody(self) -> bool:
        """No step pages anybody."""
        return not any(step.targets or any(step.later) for step in self.steps)


def plan(
    policy: PolicyFacts, people: Mapping[int, PersonFacts], now: datetime, severity: str = "critical"
) -> Plan:
    """The frozen plan of a policy as it would run from `now` for an alert of that severity. A person is paged once per
    step, however often named."""
    steps = _steps(policy, people, now, severity)
    fallback, problem = _person(policy.fallback_user_id, _when("high", people))
    problems = [f"Fallback: {problem}"] if problem else []
    if not steps:
        problems.append("The policy has no steps: only the fallback is paged.")
    return Plan(
        policy.name, now.isoformat(), steps, policy.repeat_count, policy.repeat_wait_s,
        (fallback,) if fallback else (), tuple(problems),
    )  # fmt: skip


def _steps(
    policy: PolicyFacts, people: Mapping[int, PersonFacts], now: datetime, severity: str
) -> tuple[PlannedStep, ...]:
    """Every step of every round as of its own time, by the waits that the engine will make."""
    rounds, at = [], now
    by_severity = "high" if severity in _HIGH else "low"
    for cycle in range(policy.repeat_count + 1):
        pending = timedelta(seconds=policy.repeat_wait_s if cycle else 0)
        made = []
        for step, guards in guarded(policy.steps):
            due = at + pending + timedelta(seconds=step.wait_before_s)
            shut = next((why for gate in guards if (why := why_shut(gate, due, severity))), "")
            ways = _when(step.urgency or by_severity, people)
            made.append(_left_out(step, shut) if shut else _step(step, ways, due, cycle))
            if made[-1].targets or made[-1].waits_empty:  # any other empty step is passed without its wait
                at, pending = due, timedelta()
        rounds.append(made)
    return tuple(_of_all_rounds(column) for column in zip(*rounds, strict=True))


def _when(urgency: str, people: Mapping[int, PersonFacts]) -> dict[int, PersonFacts]:
    return {user_id: person.when(urgency) for user_id, person in people.items()}


def guarded(steps: Iterable[StepFacts]) -> Iterator[tuple[StepFacts, list[Gate]]]:
    """Each step with the gates before it that guard it."""
    over: list[tuple[Gate, int]] = []
    for n, step in enumerate(steps):
        if step.gate is not None:
            over.append((step.gate, n))
            yield step, []
        else:
            yield step, [gate for gate, at in over if not gate.skips or n - at <= gate.skips]


def _left_out(step: StepFacts, why: str) -> PlannedStep:
    return PlannedStep(step.wait_before_s, (), notes=(f"is left out by a gate: {why}.",))


def _of_all_rounds(column: tuple[PlannedStep, ...]) -> PlannedStep:
    """One step with what differs in further rounds; problems that come again are said once."""
    first, later = column[0], tuple(one.targets for one in column[1:])
    problems = tuple(dict.fromkeys(problem for one in column for problem in one.problems))
    same = all(targets == first.targets for targets in later)
    notes = tuple(dict.fromkeys(note for one in column for note in one.notes))
    waits = any(one.waits_empty for one in column) and not notes
    return PlannedStep(
        first.wait_s, first.targets, problems, () if same else later, notes,
        max(one.urgency for one in column), waits, any(one.require_all for one in column),
    )  # fmt: skip


def _step(step: StepFacts, people: Mapping[int, PersonFacts], due: datetime, cycle: int) -> PlannedStep:
    if step.gate is not None:
        return PlannedStep(0, (), notes=(f"is a gate, {said(step.gate)}.",))
    found = _found(step, people, due, cycle)
    waits = not step.skip_if_empty and not found.targets
    return replace(found, urgency=step.urgency, waits_empty=waits, require_all=step.require_all)


def _found(step: StepFacts, people: Mapping[int, PersonFacts], due: datetime, cycle: int) -> PlannedStep:
    if step.kind == "round_robin":
        return _turn_step(step, people, cycle)
    if step.kind in ("channel", "webhook"):
        return _channel_step(step)
    if step.kind in ("schedule", "schedule_next"):
        return _duty_step(step, people, due)
    return _people_step(step, people)


def _duty_step(step: StepFacts, people: Mapping[int, PersonFacts], due: datetime) -> PlannedStep:
    """Whoever the schedule has at the time of this step, or whoever follows them."""
    if step.schedule is None:
        return PlannedStep(step.wait_before_s, (), ("No schedule is chosen.",))
    following = step.kind == "schedule_next"
    who = (rotations.next_on_call if following else rotations.on_call)(step.schedule, due)
    if who:
        return _people_step(replace(step, user_ids=who), people)
    said = "has nobody next" if following else "has nobody on call"
    problem = f"{step.schedule_name} {said} at {due:%a %d %b %H:%M} UTC, when this step is due."
    return PlannedStep(step.wait_before_s, (), (problem,))


def _turn_step(step: StepFacts, people: Mapping[int, PersonFacts], cycle: int) -> PlannedStep:
    """One of these people: whose turn it is, or the next who can be reached; a further round goes on to the next."""
    size, everybody = len(step.user_ids), _people_step(step, people)
    begin = (step.turn + cycle) % size if size else 0
    for user_id in step.user_ids[begin:] + step.user_ids[:begin]:
        target, _ = _person(user_id, people)
        if target:
            return replace(everybody, targets=(target,))
    return everybody


def _people_step(step: StepFacts, people: Mapping[int, PersonFacts]) -> PlannedStep:
    found, problems = {}, []
    for user_id in dict.fromkeys(step.user_ids):
        target, problem = _person(user_id, people)
        if problem:
            problems.append(problem)
        if target:
            found[target.kind, target.address] = target
    if not step.user_ids:
        problems.append(f"Team {step.team} has no members." if step.team else "Nobody is named.")
    return PlannedStep(step.wait_before_s, tuple(found.values()), tuple(problems))


def _channel_step(step: StepFacts) -> PlannedStep:
    channel = step.channel
    if channel is None:
        return PlannedStep(step.wait_before_s, (), ("No channel is chosen.",))
    if not channel.enabled:
        return PlannedStep(step.wait_before_s, (), (f"{channel.label} is switched off.",))
    problems = (f"{channel.label} was refused for good lately; mend and test it.",) if channel.broken else ()
    target = Target(channel.kind, channel.address, channel.label, channel_id=channel.id)
    return PlannedStep(step.wait_before_s, (target,), problems)


def _person(user_id: int, people: Mapping[int, PersonFacts]) -> tuple[Target | None, str]:
    """The person's first way with the others behind it, or why there is none."""
    person = people.get(user_id)
    if person is None:
        return None, "A person of this step no longer exists."
    if not person.active:
        return None, f"{person.label} is no longer active."
    left_out = f"{', '.join(person.unverified)} was never verified" if person.unverified else ""
    if not person.methods:
        return None, f"{person.label} has no address{': ' if left_out else ''}{left_out}."
    ways = [Target(m.kind, m.address, person.label, user_id, None, m.id) for m in person.methods]
    first = ways[0]
    target = Target(first.kind, first.address, first.label, user_id, None, first.method_id, tuple(ways[1:]))
    return target, f"{person.label}: {left_out} and is not paged." if left_out else ""


# --- Reading a stored plan ----------------------------------------------------------------------------------
def target_of(stored: Mapping[str, Any]) -> Target:
    """A target out of stored JSON. ValueError if a value has not its type: it must not reach a statement of many."""
    words = (stored["kind"], stored["address"], stored["label"])
    ids = (stored.get("user_id"), stored.get("channel_id"), stored.get("method_id"))
    if not all(type(word) is str for word in words) or not all(n is None or type(n) is int for n in ids):
        raise ValueError("a target of the stored plan has values of a wrong type")
    return Target(**{**stored, "then": tuple(target_of(t) for t in stored.get("then", ()))})


def _targets(stored: Iterable[Mapping[str, Any]]) -> tuple[Target, ...]:
    return tuple(target_of(target) for target in stored)


def plan_of(stored: Mapping[str, Any]) -> Plan:
    """A plan out of stored JSON."""
    steps = tuple(
        PlannedStep(
            s["wait_s"],
            _targets(s["targets"]),
            tuple(s["problems"]),
            tuple(map(_targets, s.get("later", ()))),
            tuple(s.get("notes", ())),
            s.get("urgency", ""),
            s.get("waits_empty", False),
            s.get("require_all", False),
        )
        for s in stored["steps"]
    )
    fallback = tuple(target_of(t) for t in stored["fallback"])
    numbers = [step.wait_s for step in steps] + [stored["repeat_wait_s"], stored["repeat_count"]]
    if any(type(number) is not int or not 0 <= number <= _LONGEST_S for number in numbers):
        raise ValueError("a wait or a count of the stored plan is no such number")
    return Plan(
        **{
            "made_at": "",
            **stored,
            "steps": steps,
            "fallback": fallback,
            "problems": tuple(stored["problems"]),
        }
    )


# --- Walking it ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Stop:
    """Where a run stands: a step of a round and the wait before it; after the last step, the closing look."""

    cycle: int
    step: int
    wait_s: int
    closing: bool = False


def first_stop(made: Plan) -> Stop:
    """Where a run begins."""
    return _from(made, 0, 0)


def next_stop(made: Plan, cycle: int, step: int) -> Stop:
    """What comes after a step of a round."""
    return _from(made, cycle, step + 1)


def _from(made: Plan, cycle: int, step: int) -> Stop:
    """The first step at or after this place that pages somebody. Empty steps are passed without their wait."""
    if made.reaches_nobody:
        return Stop(cycle, len(made.steps), 0, closing=True)
    wait_s = 0
    while cycle <= made.repeat_count:
        for index in range(step, len(made.steps)):
            if made.steps[index].in_round(cycle) or made.steps[index].waits_empty:
                return Stop(cycle, index, wait_s + made.steps[index].wait_s)
        cycle, step, wait_s = cycle + 1, 0, made.repeat_wait_s
    return Stop(made.repeat_count, len(made.steps), CLOSE_AFTER_S, closing=True)


@dataclass(frozen=True)
class Line:
    """One line of the preview: seconds after the start, the round (1 is the first), who, how, or what is wrong.
    `step` counts from 1; the fallback is after all steps."""

    at_s: int
    round: int
    label: str
    kind: str = ""
    address: str = ""
    problem: bool = False
    user_id: int | None = None
    step: int = 0


def preview(made: Plan, rounds: int = 2) -> Iterator[Line]:
    """Who would be paged when, by the engine's own walk, for the first rounds; and in red what would not work."""
    for index, step in enumerate(made.steps, 1):
        for problem in step.problems:
            yield Line(0, 1, f"Step {index}: {problem}", problem=True)
        for note in step.notes:
            yield Line(0, 1, f"Step {index} {note}", kind="gate")
    for problem in made.problems:
        yield Line(0, 1, problem, problem=True)
    stop, at_s = first_stop(made), 0
    while not stop.closing and stop.cycle < rounds:
        at_s += stop.wait_s
        for target in made.steps[stop.step].in_round(stop.cycle):
            yield Line(
                at_s, stop.cycle + 1, target.label, target.kind, target.address,
                user_id=target.user_id, step=stop.step + 1,
            )  # fmt: skip
        stop = next_stop(made, stop.cycle, stop.step)
    if stop.closing:
        at_s += stop.wait_s
        for target in made.fallback:
            yield Line(
                at_s, stop.cycle + 1, f"{target.label} (if nobody was reached)", target.kind, target.address,
                user_id=target.user_id, step=len(made.steps) + 1,
            )  # fmt: skip
