"""What a preview is asked."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from apps.alerts.confidence.preview import saturday_night
from apps.alerts.models import AlertRule, EscalationPolicy
from apps.alerts.models.oncall import YEARS
from apps.projects.models import Component

NOW, SATURDAY, ON = "now", "saturday", "on"


class PreviewForm(forms.Form):
    """Which policy, directly or by a rule or component; and when."""

    policy = forms.ModelChoiceField(EscalationPolicy.objects.all(), required=False, empty_label="–")
    rule = forms.ModelChoiceField(
        AlertRule.objects.select_related("policy"), required=False, empty_label="–", label="or rule"
    )
    component = forms.ModelChoiceField(
        Component.objects.select_related("project"), required=False, empty_label="–", label="or component"
    )
    when = forms.ChoiceField(
        required=False,
        choices=[(NOW, "now"), (SATURDAY, "Saturday 03:00"), (ON, "on a date")],
        label="If it fires",
    )
    at = forms.DateTimeField(
        required=False, label="Date and time, by your clock",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """One subject at most; a date where one is asked for."""
        cleaned = super().clean() or {}
        chosen = [name for name in ("policy", "rule", "component") if cleaned.get(name)]
        if len(chosen) > 1:
            self.add_error(chosen[1], "Choose a policy, a rule or a component, not several.")
        at = cleaned.get("at")
        if cleaned.get("when") == ON and not at and "at" not in self.errors:
            self.add_error("at", "Give the date and time.")
        if at and at.year not in YEARS:
            self.add_error("at", f"Outside the years {YEARS[0]} to {YEARS[-1]}.")
        return cleaned

    def moment(self, now: datetime) -> datetime:
        """When it fires, of a valid form."""
        when, at = self.cleaned_data.get("when"), self.cleaned_data.get("at")
        if when == SATURDAY:
            return saturday_night(now, timezone.get_current_timezone())
        return at if at and when != NOW else now
