"""What is odd about a policy though nothing in it is wrong: said beside the preview, never refused. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from apps.alerts.escalation import Plan, PolicyFacts, guarded
from apps.alerts.gates import Gate, why_shut

_LOOK = timedelta(minutes=15)
_LOOKS = 8 * 24 * 4  # eight days: every hour of every weekday in every zone


def doubts(policy: PolicyFacts, made: Plan, now: datetime) -> Iterator[str]:
    """Steps that can never run, steps that page nobody new at once."""
    yield from _never_open(policy, now)
    yield from _nobody_new(made)


def _never_open(policy: PolicyFacts, now: datetime) -> Iterator[str]:
    moments = [now + n * _LOOK for n in range(_LOOKS)]
    for n, (step, guards) in enumerate(guarded(policy.steps), 1):
        if step.gate is None and len(guards) > 0 and not _ever_open(guards, moments):
            yield f"Step {n} can never run: the gates before it are never open together."


def _ever_open(guards: Sequence[Gate], moments: Sequence[datetime]) -> bool:
    return any(not any(why_shut(gate, moment, "critical") for gate in guards) for moment in moments)


def _nobody_new(made: Plan) -> Iterator[str]:
    before: set[tuple[str, str]] = set()
    last = 0
    for n, step in enumerate(made.steps, 1):
        targets = {(target.kind, target.address) for target in step.targets}
        if targets and not step.wait_s and targets <= before:
            yield f"Step {n} pages, without a wait, nobody but whom step {last} pages."
        if targets:
            before, last = targets, n
