"""Forms of policies and their steps: what they refuse, and what they only warn of."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.alerts import gates, planning
from apps.alerts.models import EscalationPolicy, EscalationStep

_WEEKDAYS = tuple((str(n), name) for n, name in enumerate(gates.DAYS))
# Which field each kind needs filled.
NEEDS = {
    "people": "users", "round_robin": "users", "team": "team", "schedule": "schedule", "schedule_next": "schedule",
    "channel": "channel", "webhook": "channel",
}  # fmt: skip


class PolicyForm(forms.ModelForm):
    """A policy without a final fallback, or with one who cannot be reached, is refused."""

    class Meta:
        model = EscalationPolicy
        fields = (
            "name", "description", "fallback_user", "repeat_count", "repeat_wait_s", "ack_expiry_min", "is_default",
        )  # fmt: skip

    def clean_fallback_user(self) -> Any:
        """Somebody who is active and has an address."""
        person = self.cleaned_data["fallback_user"]
        known = planning.people_facts([person.pk])[person.pk]
        if not known.active:
            raise ValidationError(f"{known.label} is no longer active: the fallback must be reachable.")
        if not known.methods:
            raise ValidationError(f"{known.label} has no address: the fallback must be reachable.")
        return person


class SnoozeForm(forms.Form):
    """How long somebody has an alert before it fires again; gives `until`."""

    HOURS = ((1, "1 hour"), (4, "4 hours"), (8, "8 hours"), (24, "1 day"), (72, "3 days"))

    hours = forms.TypedChoiceField(choices=HOURS, coerce=int, label="For")

    def clean(self) -> dict[str, Any]:
        """The end, instead of the hours."""
        cleaned = super().clean() or {}
        hours = cleaned.pop("hours", None)
        return cleaned | ({"until": timezone.now() + timedelta(hours=hours)} if hours else {})


class StepForm(forms.ModelForm):
    """A step names whom its kind asks for; a gate names when it is open."""

    gate_weekdays = forms.MultipleChoiceField(
        choices=_WEEKDAYS, required=False, label="weekdays", widget=forms.CheckboxSelectMultiple,
        help_text="None: every day.",
    )  # fmt: skip

    class Meta:
        model = EscalationStep
        fields = (
            "order", "wait_before_s", "kind", "users", "team", "schedule", "channel", "urgency", "skip_if_empty",
            "require_ack", "gate_zone", "gate_weekdays", "gate_from", "gate_until", "gate_holidays", "gate_severity",
            "gate_skips",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("gate_zone", "gate_skips", "require_ack"):
            self.fields[name].required = False

    def clean_gate_skips(self) -> int:
        """0 for all that follow."""
        return self.cleaned_data.get("gate_skips") or 0

    def clean_gate_weekdays(self) -> list[int]:
        """As numbers, Monday 0."""
        return sorted(int(day) for day in self.cleaned_data["gate_weekdays"])

    def clean_gate_zone(self) -> str:
        """An IANA zone."""
        zone = self.cleaned_data.get("gate_zone") or "UTC"
        if zone not in available_timezones():
            raise ValidationError("Not a time zone: give an IANA name such as Europe/Berlin.")
        return str(zone)

    def clean_gate_holidays(self) -> str:
        """A country whose holidays are known."""
        country = str(self.cleaned_data.get("gate_holidays", "")).upper()
        if country and country not in gates.countries():
            raise ValidationError("No holidays are known for this country: give a code such as DE or US.")
        return country

    def clean(self) -> dict[str, Any]:
        """People, a team, a schedule, a channel or a gate."""
        cleaned = super().clean() or {}
        kind = cleaned.get("kind", "")
        if kind == "gate":
            self._check_gate(cleaned)
        elif (wanted := NEEDS.get(kind, "")) and not cleaned.get(wanted):
            self.add_error(wanted, "This step would page nobody: name somebody, or choose another kind.")
        elif kind == "webhook" and cleaned["channel"].kind != "webhook":
            self.add_error(
                "channel", f"{cleaned['channel']} is no signed web hook: choose the kind Channel for it."
            )
        return cleaned

    def _check_gate(self, cleaned: dict[str, Any]) -> None:
        starts, ends = cleaned.get("gate_from"), cleaned.get("gate_until")
        if (starts is None) != (ends is None):
            self.add_error("gate_until" if ends is None else "gate_from", "Give both hours or neither.")
        elif starts is not None and starts == ends:
            self.add_error("gate_until", "From and until are the same: this gate could never open.")
        if cleaned.get("wait_before_s"):
            self.add_error("wait_before_s", "A gate does not wait; give the wait to the step after it.")
        named = ("gate_weekdays", "gate_from", "gate_holidays", "gate_severity")
        if not self.errors and not any(cleaned.get(name) for name in named):
            self.add_error("kind", "This gate is always open: name hours, weekdays, holidays or a severity.")
