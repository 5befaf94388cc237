"""The condition language of rules, and what one more reading of a measure means. Pure: no database, no clock."""

import difflib
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

OPERATORS = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
}  # fmt: skip
_SHAPE = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9]*)\s*(>=|<=|==|>|<)\s*(?:(-?\d{1,12}(?:\.\d{1,6})?)\s*(%|ms|s)?)?\s*"
)
# Unit as written → unit of the measure → factor. A bare number is in the measure's own unit.
_FACTORS = {"%": {"%": 1.0}, "ms": {"ms": 1.0}, "s": {"ms": 1000.0}}


class RuleRefused(ValueError):
    """A condition that cannot be used; `field` is condition or threshold."""

    def __init__(self, message: str, field: str = "condition") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Bounds:
    """The values that a measure can take. `ratio`: a share, for which few events are no evidence in any direction.

    `unit`: what may stand behind a number: % or ms (then s as well), or nothing.
    """

    low: float = 0
    high: float = math.inf
    whole: bool = True
    ratio: bool = False
    unit: str = ""


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
    """Read `measure op number`, the number with or without its unit (%, ms, s); RuleRefused says what is wrong.
    `threshold`, in the measure's own unit, serves where the number is left out.

    Refused as well: two unequal numbers, a condition that can never hold, and one that always does.
    """
    found = _SHAPE.fullmatch(text)
    if not found:
        raise RuleRefused(
            f"Write a measure, an operator ({' '.join(OPERATORS)}) and a number, such as errorCount > 10. "
            "Functions, arithmetic and code are not read."
        )
    measure, op, written, unit = found.groups()
    if measure not in bounds:
        raise RuleRefused(_unknown(measure, bounds))
    number = float(written) * _factor(measure, unit, bounds[measure]) if written is not None else None
    condition = Condition(measure, op, _number(number, threshold))
    _refuse_the_constant(condition, bounds[measure])
    return condition


def _unknown(measure: str, known: Iterable[str]) -> str:
    by_small = {name.lower(): name for name in known}
    near = difflib.get_close_matches(measure.lower(), by_small, n=1, cutoff=0.6)
    meant = f" Did you mean {by_small[near[0]]}?" if near else ""
    return f"Unknown measure {measure}.{meant} Known: {', '.join(sorted(by_small.values()))}."


def _factor(measure: str, unit: str | None, bounds: Bounds) -> float:
    if unit is None:
        return 1.0
    if bounds.unit not in _FACTORS[unit]:
        own = f"is in {bounds.unit}" if bounds.unit else "has no unit"
        raise RuleRefused(f"{measure} {own}; {unit} does not fit.")
    return _FACTORS[unit][bounds.unit]


def _number(written: float | None, threshold: float | None) -> float:
    if written is None:
        if threshold is None:
            raise RuleRefused("Give a number, here or as the threshold.")
        return threshold
    if threshold is not None and written != threshold:
        raise RuleRefused(
            f"The condition says {written:g}, the threshold {threshold:g}. Clear one of them.", "threshold"
        )
    return written


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
class Ask:
    """What a set of rules wants of a measure: since when, counting only which severity of record, and only what
    its matchers name, such as (("endpoint", "POST /pay"),)."""

    since: datetime
    severity: str = ""
    matchers: tuple[tuple[str, str], ...] = ()

    def only(self, name: str) -> str:
        """The value that a matcher asks for; "" for all."""
        return dict(self.matchers).get(name, "")


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
