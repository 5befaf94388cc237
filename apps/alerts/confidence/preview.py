"""Who would be paged if it fired at some moment: the engine's own plan and walk, and in red what would not work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apps.alerts import escalation, paging
from apps.alerts.confidence import ways
from apps.alerts.confidence.ways import Person
from apps.alerts.escalation import Line, Plan
from apps.alerts.models import AlertRule, EscalationPolicy
from apps.alerts.oncall.queries import zones_of
from apps.core.wording import day_words, zone_word
from apps.projects.models import Component

SATURDAY, AT_NIGHT = 5, 3


@dataclass(frozen=True)
class Row:
    """One page that would go out. Times in words: after how long, in UTC, and on that person's own clock; `doubt`
    says why it may not reach them."""

    after: str
    utc: str
    own: str
    who: str
    by: str
    address: str
    doubt: str = ""
    at_night: bool = False


@dataclass(frozen=True)
class Preview:
    """A policy at one moment. `why`: of which rule, where it was asked by one."""

    policy: EscalationPolicy
    at: datetime
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    why: str = ""

    @property
    def heading(self) -> str:
        """Journal on call, if it fires Sat 28 Nov 03:00 UTC (Rule Payment failures)"""
        why = f" ({self.why})" if self.why else ""
        return f"{self.policy.name}, if it fires {clock(self.at)}{why}"


def preview(policy: EscalationPolicy, at: datetime, now: datetime, why: str = "") -> Preview:
    """As if it fired at `at`; addresses are judged by what is known `now`."""
    made = paging.plan_for(policy, at)
    lines = list(escalation.preview(made))
    shown = [line for line in lines if not line.problem]
    ids = {line.user_id for line in shown if line.user_id}
    people, zones = ways.people(ids), zones_of(ids)
    states = {pk: person.state(now, ways.fresh()) for pk, person in people.items()}
    warnings = [line.label for line in lines if line.problem]
    warnings += [*_empty_steps(made), *_unreachable(shown, people, states), *_twice(shown, people)]
    rows = tuple(_row(line, at, zones, states) for line in shown)
    return Preview(policy, at, rows, tuple(dict.fromkeys(warnings)), why)


def _empty_steps(made: Plan) -> Iterator[str]:
    for number, step in enumerate(made.steps, 1):
        if not step.targets and not any(step.later):
            yield f"Step {number} reaches nobody: it is passed without its wait."
    if made.steps and made.reaches_nobody:
        yield "No step reaches anybody: only the fallback is paged."
    if not made.fallback:
        yield "Nobody is left at the end: the fallback cannot be reached either."


def _unreachable(shown: list[Line], people: Mapping[int, Person], states: Mapping[int, str]) -> Iterator[str]:
    """A person without a way that was verified and works, said once with the first step that needs them."""
    said = {
        ways.UNVERIFIED: "has no verified way: nobody ever confirmed that a message arrives.",
        ways.FAILING: "could not be reached last time, by any way.",
        ways.STALE: "was not tested lately.",
    }
    for user_id in dict.fromkeys(line.user_id for line in shown if line.user_id):
        state = states.get(user_id, ways.NONE)
        if state in said:
            yield f"{people[user_id].name} {said[state]}"


def _twice(shown: list[Line], people: Mapping[int, Person]) -> Iterator[str]:
    """The same person in two steps of the first round: the second step helps nobody who did not hear the first."""
    steps: dict[int, list[str]] = {}
    last = max((line.step for line in shown), default=0)
    for line in shown:
        if line.user_id and line.round == 1:
            word = (
                "as fallback" if "(if nobody" in line.label and line.step == last else f"by step {line.step}"
            )
            steps.setdefault(line.user_id, []).append(word)
    for user_id, where in steps.items():
        where = list(dict.fromkeys(where))
        if len(where) > 1:
            yield f"{people[user_id].name} is paged {' and again '.join(where)}: nobody else would hear of it there."


def _row(line: Line, at: datetime, zones: Mapping[int, ZoneInfo], states: Mapping[int, str]) -> Row:
    due = at + timedelta(seconds=line.at_s)
    zone = zones.get(line.user_id or 0)
    wall = due.astimezone(zone) if zone else None
    again = f", round {line.round}" if line.round > 1 else ""
    state = states.get(line.user_id or 0, ways.OK)
    return Row(
        f"+{minutes(line.at_s)}{again}", clock(due), clock(wall) if wall else "", line.label, line.kind, line.address,
        "" if state == ways.OK else ways.WORDS[state], bool(wall and (wall.hour >= 22 or wall.hour < 6)),
    )  # fmt: skip


def clock(at: datetime) -> str:
    """Sat 28 Nov 03:00 UTC"""
    return f"{at:%a} {day_words(at.date(), at.date())} {at:%H:%M} {zone_word(at)}"


def minutes(seconds: int) -> str:
    """4 min 30 s"""
    whole, rest = divmod(seconds, 60)
    return f"{whole} min {rest} s" if rest else f"{whole} min"


def saturday_night(now: datetime, zone: ZoneInfo) -> datetime:
    """The next Saturday 03:00 of that zone."""
    wall = now.astimezone(zone).replace(hour=AT_NIGHT, minute=0, second=0, microsecond=0)
    wall += timedelta(days=(SATURDAY - wall.weekday()) % 7)
    return wall if wall > now else wall + timedelta(days=7)


def asked(
    policy: EscalationPolicy | None, rule: AlertRule | None, component: Component | None
) -> list[tuple[EscalationPolicy, str]]:
    """Policies with the rules that lead to them: the one chosen, that of a rule, or those of all enabled rules that
    are asked of a component."""
    if policy is not None:
        return [(policy, "")]
    if rule is not None:
        return [(rule.policy, f"Rule {rule.name}")] if rule.policy else []
    if component is None:
        return []
    found: dict[EscalationPolicy, list[str]] = {}
    for one in AlertRule.objects.filter(enabled=True, policy__isnull=False).select_related("policy"):
        if one.policy and _covers(one, component):
            found.setdefault(one.policy, []).append(one.name)
    return [(held, f"{component}: {', '.join(names)}") for held, names in found.items()]


def _covers(rule: AlertRule, component: Component) -> bool:
    return (
        rule.component_id in (None, component.pk)
        and rule.project_id in (None, component.project_id)
        and rule.component_name in ("", component.name)
    )
