"""Forms of suppression: what is written in the admin, and the button on an alert."""

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.alerts.models import Alert, Suppression
from apps.alerts.suppression import services

HOURS = ((1, "1 hour"), (4, "4 hours"), (24, "a day"), (168, "a week"), (0, "until it is resolved"))


class SuppressionForm(forms.ModelForm):
    """The service's own checks, beside their fields."""

    class Meta:
        model = Suppression
        fields = (
            "kind", "matchers", "source_matchers", "equal", "reason", "starts_at", "ends_at", "until_resolved",
            "repeats", "windows", "zone",
        )  # fmt: skip
        widgets = {
            name: forms.Textarea(attrs={"rows": 2}) for name in ("matchers", "source_matchers", "windows")
        }

    def clean(self) -> dict[str, Any]:
        """Refused here as the service would."""
        cleaned = super().clean() or {}
        if not self.errors:
            row = Suppression(**cleaned)
            try:
                services.check(row)
            except ValidationError as refusal:
                self.add_error(None, refusal)
            else:
                cleaned |= {
                    name: getattr(row, name) for name in ("matchers", "source_matchers", "equal", "reason")
                }
        return cleaned


class SilenceForm(forms.Form):
    """Silence an alert: how long, and why."""

    hours = forms.TypedChoiceField(choices=HOURS, coerce=int, label="For")
    reason = forms.CharField(max_length=300, help_text="Shown beside every alert that this silences.")

    def clean(self) -> dict[str, Any]:
        """`until`, which is empty for as long as the alert is open."""
        cleaned = super().clean() or {}
        hours = cleaned.pop("hours", None)
        return cleaned | {"until": timezone.now() + timedelta(hours=hours) if hours else None}


class MergeForm(forms.Form):
    """The alert to go under."""

    parent = forms.ModelChoiceField(Alert.objects.open().order_by("-triggered_at"), label="Under")
