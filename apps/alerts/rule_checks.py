"""What of a rule cannot work, beyond its condition: refused at its field, or warned of. Pure but for the registry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.alerts import measures
from apps.alerts.measures import PORTAL, Measure
from apps.alerts.rules import Terms, parse
from apps.alerts.telemetry_measures import EVENT
from apps.telemetry.known_events import severity_of

HOUR_S = 3600
LONGEST_MATCHER = 200


@dataclass(frozen=True)
class Scope:
    """What a rule is asked of, beside its terms."""

    window_s: int
    record_severity: str = ""
    matchers: Mapping[str, Any] | None = None
    narrowed: bool = False  # to a component or its name
    placed: bool = False  # in a project
    paged: bool = True  # by a policy
    silent_project: str = ""  # its name, where none of its keys is active


@dataclass(frozen=True)
class Finding:
    """One fault: at which field, in words, and whether the rule is refused for it."""

    field: str
    text: str
    refused: bool = True


def terms_of(facts: Mapping[str, Any]) -> Terms:
    """What judging needs of a rule's fields; RuleRefused when its condition cannot be read."""
    threshold = facts.get("threshold")
    number = float(threshold) if threshold is not None else None
    condition = parse(facts["condition"], threshold=number, bounds=measures.bounds())
    ratio = measures.registry[condition.measure].bounds.ratio
    return Terms(
        condition,
        facts.get("for_s") or 0,
        facts.get("minimum") or 0,
        facts.get("resolve_after_s") or 0,
        ratio,
    )


def findings(terms: Terms, scope: Scope) -> list[Finding]:
    """Everything wrong with a rule whose condition was read, the refusals first."""
    measure = measures.registry[terms.condition.measure]
    refused = [*_matchers(measure, scope), *_subjects(measure, scope), *_evidence(terms, measure)]
    return [*refused, *_warnings(terms, scope)]


def _matchers(measure: Measure, scope: Scope) -> Iterator[Finding]:
    given = scope.matchers or {}
    for name, value in given.items():
        if name not in measure.matchers:
            known = f"only by {', '.join(measure.matchers)}" if measure.matchers else "by nothing"
            yield Finding("matchers", f"{measure.name} cannot be narrowed by {name}, {known}.")
        elif not isinstance(value, str) or not 0 < len(value) <= LONGEST_MATCHER:
            yield Finding("matchers", f"{name} must be a text of 1 to {LONGEST_MATCHER} characters.")
    if measure.needs and measure.needs not in given:
        yield Finding("matchers", f"{measure.name} asks for one {measure.needs}: name it, {measure.needs}=….")
    if (measure.by_hour or _hourly_event(given)) and scope.window_s < HOUR_S:
        yield Finding("window_s", f"This is counted by the hour: the window must be at least {HOUR_S} s.")


def _hourly_event(given: Mapping[str, Any]) -> bool:
    return isinstance(given.get(EVENT), str) and not severity_of(given[EVENT])


def _subjects(measure: Measure, scope: Scope) -> Iterator[Finding]:
    if scope.narrowed and measure.per != "component":
        whole = "of the portal itself" if measure.per == PORTAL else "of whole projects"
        yield Finding("component", f"{measure.name} is asked {whole}: clear the component.")
    if scope.placed and measure.per == PORTAL:
        yield Finding("project", f"{measure.name} is asked of the portal itself: clear the project.")
    if scope.record_severity and scope.record_severity not in measure.severities:
        said = f"it counts {' and '.join(measure.severities)} alone" if measure.severities else "it has none"
        yield Finding(
            "record_severity", f"{measure.name} cannot be narrowed to {scope.record_severity}: {said}."
        )


def _evidence(terms: Terms, measure: Measure) -> Iterator[Finding]:
    """A count is its own evidence: it cannot be small enough to pass and large enough for the minimum at once."""
    condition = terms.condition
    if measure.bounds.ratio or measure.per_minute or not condition.op.startswith(("<", "=")):
        return
    most = condition.number - (condition.op == "<" and condition.number.is_integer())
    if most < terms.minimum:
        yield Finding(
            "minimum",
            f"{condition} can never fire: the rule asks for at least {terms.minimum} of the same count.",
        )


def _warnings(terms: Terms, scope: Scope) -> Iterator[Finding]:
    if terms.for_s > scope.window_s:
        said = (
            f"It must hold for {terms.for_s} s, longer than its window of {scope.window_s} s: "
            "one burst, however large, does not fire it."
        )
        yield Finding("for_s", said, refused=False)
    if not scope.paged:
        yield Finding("policy", "It pages nobody: no escalation policy is chosen.", refused=False)
    if scope.silent_project:
        said = f"{scope.silent_project} has no active key: nothing can report to it, so nothing fires."
        yield Finding("project", said, refused=False)
