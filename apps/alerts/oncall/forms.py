"""Forms of on-call: standing in, a calendar to read in, and whose calendar to give out."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from apps.alerts.models.oncall import Layer, Override, Schedule
from apps.alerts.oncall import calendar as oncall_calendar
from apps.alerts.oncall import services as oncall
from apps.core.zones import zone_names
from apps.projects.models import Team


class ZonesList(forms.TextInput):
    """Free text: 400 names are too many for a list of choices; what is no name is refused."""

    def __init__(self) -> None:
        super().__init__(attrs={"size": 32, "placeholder": "Europe/Berlin", "autocomplete": "off"})


class ScheduleForm(forms.ModelForm):
    """A zone is typed."""

    class Meta:
        model = Schedule
        fields = "__all__"
        widgets = {"zone": ZonesList()}

    def clean_zone(self) -> str:
        """Upper and lower case do not matter."""
        given = self.cleaned_data["zone"]
        return next((name for name in zone_names() if name.lower() == given.lower()), given)


class LayerForm(forms.ModelForm):
    """Windows are a line or two, a zone is typed."""

    class Meta:
        model = Layer
        fields = "__all__"
        widgets = {"zone": ZonesList(), "windows": forms.Textarea(attrs={"rows": 2})}


class OverrideForm(forms.ModelForm):
    """A row of a schedule's page; refused for what no constraint says."""

    class Meta:
        model = Override
        fields = ("user", "starts_at", "ends_at", "reason")

    def clean(self) -> dict[str, Any]:
        """Length, and somebody who can be reached."""
        cleaned = super().clean() or {}
        if all(cleaned.get(name) for name in ("user", "starts_at", "ends_at")):
            stand_in = Override(**{name: cleaned[name] for name in ("user", "starts_at", "ends_at")})
            try:
                oncall.check_override(stand_in)
            except ValidationError as refusal:
                self.add_error(None, refusal)
        return cleaned


class StandInForm(forms.Form):
    """Who stands in, from when, until when. Times are in the reader's zone."""

    user = forms.ModelChoiceField(get_user_model().objects.filter(is_active=True), label="Who stands in")
    starts_at = forms.SplitDateTimeField(label="From", widget=AdminSplitDateTime)
    ends_at = forms.SplitDateTimeField(label="Until", widget=AdminSplitDateTime)
    reason = forms.CharField(max_length=200, required=False)


class CalendarFileForm(forms.Form):
    """An iCalendar file whose events are overrides."""

    calendar = forms.FileField(
        label="Calendar file",
        help_text="An .ics file. Each event is a time to stand in; its summary is a user name or an e-mail address.",
    )

    def clean_calendar(self) -> bytes:
        """Its bytes, no more than may be read."""
        given = self.cleaned_data["calendar"]
        if given.size > oncall_calendar.MOST_BYTES:
            raise ValidationError(f"The file is larger than {oncall_calendar.MOST_BYTES // 1024} KiB.")
        return bytes(given.read())


class CalendarLinkForm(forms.Form):
    """Whose shifts a new link shows: `me`, `schedule:4` or `team:2`."""

    of = forms.RegexField(r"\A(me|(schedule|team):[0-9]{1,9})\Z", max_length=20)

    def subject(self, user: Any) -> Any:
        """The person, schedule or team; None when it is gone."""
        kind, _, pk = self.cleaned_data["of"].partition(":")
        if kind == "me":
            return user
        return {"schedule": Schedule, "team": Team}[kind]._default_manager.filter(pk=pk).first()
