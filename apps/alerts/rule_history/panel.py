"""The panel of the rule editor: what the rule, as saved or as tried, would have done. Nothing is saved here."""

import contextlib
import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from apps.alerts import measures, rule_checks
from apps.alerts.models import AlertRule
from apps.alerts.rule_history import history as past
from apps.alerts.rule_history.history import History
from apps.alerts.rules import RuleRefused, Terms
from apps.core import charts
from apps.core.wording import clock_words

SHOWN = 20
TRIED = ("condition", "window_s", "for_s", "minimum", "resolve_after_s")


class TryForm(forms.Form):
    """What can be tried without saving."""

    condition = forms.CharField(max_length=120)
    window_s = forms.IntegerField(label="Window (s)", min_value=60, max_value=86_400)
    for_s = forms.IntegerField(label="Must hold for (s)", min_value=0, max_value=86_400)
    minimum = forms.IntegerField(label="Minimum", min_value=0, max_value=2_147_483_647)
    resolve_after_s = forms.IntegerField(
        label="Resolve after quiet (s)", min_value=0, max_value=2_147_483_647
    )


@dataclass(frozen=True)
class Fired:
    """A line of the table. `lasted` in seconds; `open`: nothing had resolved it."""

    subject: str
    at: datetime
    lasted: timedelta
    open: bool
    worst: float


@dataclass
class Panel:
    """All that the template shows. `said`: the answer in one sentence; `why_not`: why there is none."""

    form: TryForm
    tried: bool = False
    said: str = ""
    why_not: str = ""
    resolution: str = ""
    fired: list[Fired] = field(default_factory=list)
    more: int = 0
    series: list[charts.Series] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    limit: float = 0.0
    limit_words: str = ""
    unit: str = ""
    measure: str = ""


def tried_values(query: Any) -> dict[str, Any]:
    """Of a GET: the fields that were sent to be tried."""
    return {name: query[name] for name in TRIED if name in query} if "condition" in query else {}


def panel(rule: AlertRule, query: Any) -> Panel:
    """`rule` as saved, or a blank one; `query` the address's parameters."""
    sent = tried_values(query)
    now, saved = timezone.now(), _values(rule)
    form = TryForm({**saved, **sent}) if sent or rule.pk else TryForm(initial=saved)
    made = Panel(form, tried=bool(sent))
    if not form.is_bound:
        return made
    if not form.is_valid():
        made.why_not = "Nothing was replayed: mend what is marked."
        return made
    trial = copy.copy(rule)
    for name, value in form.cleaned_data.items():
        setattr(trial, name, value)
    trial.threshold = None
    try:
        terms = rule_checks.terms_of(vars(trial))
    except RuleRefused as refusal:
        form.add_error("condition", str(refusal))
        made.why_not = "Nothing was replayed: mend what is marked."
        return made
    if not _fits(trial, terms, form, made):
        return made
    _fill(made, trial, terms, past.history(trial, terms, now=now))
    return made


def _fits(trial: AlertRule, terms: Terms, form: TryForm, made: Panel) -> bool:
    narrowed, placed = bool(trial.component_id or trial.component_name), bool(trial.project_id)
    scope = rule_checks.Scope(trial.window_s, trial.record_severity, trial.matchers, narrowed, placed)
    wrong = [finding.text for finding in rule_checks.findings(terms, scope) if finding.refused]
    made.why_not = " ".join(wrong)
    return not wrong


def _values(rule: AlertRule) -> dict[str, Any]:
    """The saved values; a threshold stands in the condition, which has room for it."""
    values: dict[str, Any] = {name: getattr(rule, name) for name in TRIED}
    if rule.threshold is not None:
        with contextlib.suppress(RuleRefused):  # then shown as it stands, and refused with the reason
            values["condition"] = str(rule_checks.terms_of(vars(rule)).condition)
    return values


def _fill(made: Panel, rule: AlertRule, terms: Terms, found: History) -> None:
    measure = measures.registry[terms.condition.measure]
    if found.unknown:
        made.why_not = found.unknown
        return
    made.said, made.resolution = sentence(rule, found), resolution(rule, found)
    made.fired = [
        Fired(found.names.get(e.subject, "something"), e.fired_at, e.lasted(found.end), e.resolved_at is None, e.worst)
        for e in found.episodes[:SHOWN]
    ]  # fmt: skip
    made.more = len(found.episodes) - len(made.fired)
    made.limit, made.unit, made.measure = terms.condition.number, measure.unit, measure.label
    made.limit_words = f"Threshold {terms.condition.op} {terms.condition.number:g} {measure.unit}"
    made.series, made.labels = _chart(terms, found)


def sentence(rule: AlertRule, found: History) -> str:
    """Would have paged 4 times in the last 30 days."""
    n, days = len(found.episodes), round((found.end - found.start) / timedelta(days=1))
    verb = "paged" if rule.policy_id else "fired"
    if not n:
        return f"Would never have {verb} in the last {days} days."
    often = {1: "once", 2: "twice"}.get(n, f"{n} times")
    nobody = "" if rule.policy_id else " It has no policy, so nobody would have been paged."
    return f"Would have {verb} {often} in the last {days} days.{nobody}"


def resolution(rule: AlertRule, found: History) -> str:
    """How finely the past is known."""
    if found.minutes_from is None:
        said = "This measure is kept by the hour: times are whole hours."
    elif found.minutes_from <= found.start:
        said = "Judged minute by minute, as the portal itself would have."
    else:
        zone = timezone.get_current_timezone()
        since = clock_words(found.minutes_from, found.end, zone)
        said = (
            f"Minute by minute since {since}; before that by the hour, where a count over an hour stands for "
            "each shorter window in it: it may fire more readily than it would have, a share less."
        )
    if not rule.resolve_after_s:
        said += " Only people resolve this rule, so it fires once for each subject here."
    return said + (" Only the first 500 subjects were looked at." if found.cut else "")


def _chart(terms: Terms, found: History) -> tuple[list[charts.Series], list[str]]:
    values = past.columns(found, low=terms.condition.op.startswith("<"))
    zone = timezone.get_current_timezone()
    width = (found.end - found.start) / len(values)
    starts = [found.start + i * width for i in range(len(values))]
    labels = [f"{at.astimezone(zone):%d %b}" for at in starts]
    minutes_from = found.minutes_from or found.end + width
    fine = [v if at >= minutes_from - width else None for v, at in zip(values, starts, strict=True)]
    coarse = [None if at >= minutes_from - width else v for v, at in zip(values, starts, strict=True)]
    shown = [("by the hour", coarse, "s0"), ("by the minute", fine, "s1")]
    return [charts.Series(*facts) for facts in shown if any(v is not None for v in facts[1])], labels
