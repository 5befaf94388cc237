"""The condition language of rules, and what one more reading of a measure means. Pure: no database, no clock."""

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

OPERATORS = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
}  # fmt: skip
_SHAPE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?)?\s*%?\s*")


class RuleRefused(ValueError):
    """A condition that cannot be used; `field` is condition or threshold."""

    def __init__(self, message: str, field: str = "condition") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Bounds:
    """The values that a measure can take. `ratio`: a share, for which few events are no evidence in any direction."""

    low: float = 0
    high: float = math.inf
    whole: bool = True
    ratio: bool = False


@dataclass(frozen=True)
class Condition:
    """A parsed condition such as errorCount > 10."""

    measure: str
    op: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether the value passes."""
        return bool(OPERATORS[self.op](value, self.number))

    def __str__(self) -> str:
        return f"{self.measure} {self.op} {self.number:g}"


def parse(text: str, *, threshold: float | None, bounds: Mapping[str, Bounds]) -> Condition:
    """Read `measure op number`; RuleRefused says what is wrong. `threshold` serves where the number is left
    out.

    Refused as well: two unequal numbers, a condition that can never hold, and one that always does.
    """
    found = _SHAPE.fullmatch(text)
    if not found:
        raise RuleRefused(
            f"Write a measure, an operator ({' '.join(OPERATORS)}) and a number, such as errorCount > 10. "
            "Functions, arithmetic and code are not read."
        )
    measure, op, written = found.groups()
    if measure not in bounds:
        raise RuleRefused(f"Unknown measure {measure}. Known: {', '.join(sorted(bounds))}.")
    condition = Condition(measure, op, _number(written, threshold))
    _refuse_the_constant(condition, bounds[measure])
    return condition


def _number(written: str | None, threshold: float | None) -> float:
    if written is None:
        if threshold is None:
            raise RuleRefused("Give a number, here or as the threshold.")
        return threshold
    if threshold is not None and float(written) != threshold:
        raise RuleRefused(
            f"The condition says {written}, the threshold {threshold:g}. Clear one of them.", "threshold"
        )
    return float(written)


def _refuse_the_constant(condition: Condition, bounds: Bounds) -> None:
    """Because the comparison is monotonic, both ends of the range decide it, but for equality."""
    low, high, number = bounds.low, bounds.high, condition.number
    if condition.op == "==":
        possible = low <= number <= high and (not bounds.whole or number.is_integer())
        ends = {False} if not possible else {True, False}
    else:
        ends = {condition.holds(low), condition.holds(high)}
    if ends == {False}:
        raise RuleRefused(f"{condition} can never hold: {condition.measure} is {_span(bounds)}.")
    if ends == {True}:
        raise RuleRefused(f"{condition} always holds: {condition.measure} is {_span(bounds)}.")


def _span(bounds: Bounds) -> str:
    kind = "a whole number" if bounds.whole else "a number"
    top = "" if math.isinf(bounds.high) else f" and at most {bounds.high:g}"
    return f"{kind} of at least {bounds.low:g}{top}"


@dataclass(frozen=True)
class Reading:
    """What a measure answered for one subject: the value, and how many events it rests on. None: no data."""

    value: float | None
    volume: float = 0


@dataclass(frozen=True)
class Memory:
    """What a rule remembers of one subject between two looks."""

    value: float | None = None
    seen_at: datetime | None = None
    holds_since: datetime | None = None
    quiet_since: datetime | None = None


@dataclass(frozen=True)
class Settled:
    """A person resolved the last alert at `value`: until `until` the same facts are no news, only worse ones are."""

    until: datetime
    value: float | None


@dataclass(frozen=True)
class Verdict:
    """What to remember, and what to do: fire, still, resolve, or nothing."""

    memory: Memory
    act: str = ""


@dataclass(frozen=True)
class Terms:
    """The parts of a rule that judging needs. Times are seconds; `resolve_after_s` 0 leaves resolving to people."""

    condition: Condition
    for_s: int = 0
    minimum: int = 0
    resolve_after_s: int = 0
    ratio: bool = False


def judge(
    terms: Terms,
    previous: Memory,
    reading: Reading,
    now: datetime,
    *,
    firing: bool,
    settled: Settled | None = None,
) -> Verdict:
    """One more look. `firing`: an alert of this rule and subject is open.

    No data is neither firing nor resolving, and it breaks a run of evidence: both clocks start again.
    """
    value = reading.value
    few = reading.volume < terms.minimum
    if value is None or (few and terms.ratio):
        return Verdict(Memory(value=None, seen_at=now))
    if terms.condition.holds(value) and not few:
        return _holding(terms, previous, value, now, firing, settled)
    quiet_since = previous.quiet_since or now
    memory = Memory(value, now, None, quiet_since)
    quiet = terms.resolve_after_s and now - quiet_since >= timedelta(seconds=terms.resolve_after_s)
    return Verdict(memory, "resolve" if firing and quiet else "")


def _holding(
    terms: Terms, previous: Memory, value: float, now: datetime, firing: bool, settled: Settled | None
) -> Verdict:
    since = previous.holds_since or now
    memory, needed = Memory(value, now, since, None), timedelta(seconds=terms.for_s)
    if now - since < needed:
        return Verdict(memory, "still" if firing else "")
    if firing:
        reached_before = previous.holds_since and previous.seen_at and previous.seen_at - since >= needed
        return Verdict(memory, "still" if reached_before else "fire")
    believed = settled and previous.holds_since and now < settled.until
    if believed and settled and not _worse(terms.condition, value, settled.value):
        return Verdict(memory)
    return Verdict(memory, "fire")


def _worse(condition: Condition, value: float, than: float | None) -> bool:
    if than is None:
        return True
    return value < than if condition.op.startswith("<") else value > than
