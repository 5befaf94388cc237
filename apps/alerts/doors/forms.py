"""Forms of integrations: their words and paths are checked where they are typed."""

from typing import Any, ClassVar

from django import forms

from apps.alerts.doors import mapped
from apps.alerts.models import Integration
from apps.core import jsontext
from apps.core.refusal import Refused
from apps.core.severity import Severity, severity_of

MOST_WORDS = 100
_HELP = {
    "title": "Where the title stands, such as alert.name. Names joined by dots; a number counts in a list.",
    "key": "What stays the same while one failure lasts. Empty: title and component together.",
    "state": "Its value says whether it is over. Empty: every body is a failure.",
    "severity": "Empty: the default severity.",
    "component": "A component's name or slug. Empty: the default component.",
    "sentence": "Why it fired.",
    "url": "The sender's own page of it.",
}


def part_name(part: str) -> str:
    """The field's name of a part: apart from those of the model."""
    return f"path_of_{part}"


def _path(part: str) -> forms.CharField:
    label = "URL" if part == "url" else part.capitalize()
    return forms.CharField(required=False, max_length=400, label=label, help_text=_HELP[part])


class IntegrationForm(forms.ModelForm):
    """An integration; the mapping as one field for each part."""

    path_of_title, path_of_key, path_of_state = _path("title"), _path("key"), _path("state")
    path_of_severity, path_of_component = _path("severity"), _path("component")
    path_of_sentence, path_of_url = _path("sentence"), _path("url")
    resolved_words = forms.CharField(
        required=False, max_length=400, label="Words for over",
        help_text=f"Comma separated, in any case. Empty: {', '.join(mapped.RESOLVED_WORDS)}.",
    )  # fmt: skip

    class Meta:
        model = Integration
        fields = (
            "name", "kind", "project", "component", "policy", "pages_from", "opens_incident", "default_severity",
            "severity_map", "reopen_window_s", "dedup_prefix", "limit_per_minute", "enabled",
        )  # fmt: skip
        widgets: ClassVar = {"severity_map": forms.Textarea(attrs={"rows": 3, "cols": 60})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.mapping or {}
        self.initial["resolved_words"] = ", ".join(stored.get("resolved_words", ()))
        for part in mapped.PARTS:
            self.initial[part_name(part)] = stored.get(part, "")

    def clean_severity_map(self) -> dict[str, str]:
        """Words of the sender to words of the scale, all that are wrong named at once."""
        given = self.cleaned_data["severity_map"] or {}
        if not isinstance(given, dict) or len(given) > MOST_WORDS:
            raise forms.ValidationError(f'Pairs such as {{"page": "critical"}}, at most {MOST_WORDS}.')
        wrong = [str(word)[:40] for word, to in given.items() if severity_of(to) is None]
        if wrong:
            known = ", ".join(Severity.values)
            raise forms.ValidationError(
                f"Not a severity: what {', '.join(wrong)} stands for. Known: {known}."
            )
        return {word.strip().lower(): str(severity_of(to)) for word, to in given.items()}

    def clean(self) -> dict[str, Any]:
        """The mapping is put together, and refused by part; the component belongs to the project."""
        cleaned = super().clean() or {}
        component, project = cleaned.get("component"), cleaned.get("project")
        if component and project and component.project_id != project.pk:
            self.add_error("component", f"It belongs to {component.project}.")
        if cleaned.get("kind") == mapped.MappedJson.kind:
            self._clean_mapping(cleaned)
        return cleaned

    def _clean_mapping(self, cleaned: dict[str, Any]) -> None:
        found: dict[str, Any] = {
            part: path for part in mapped.PARTS if (path := (cleaned.get(part_name(part)) or "").strip())
        }
        words = [word.strip() for word in cleaned.get("resolved_words", "").split(",") if word.strip()]
        if words:
            found["resolved_words"] = words
        try:
            mapped.check_mapping(found)
        except Refused as refused:
            part = refused.field.rpartition(".")[2]
            name = part_name(part) if part in mapped.PARTS else "resolved_words"
            self.add_error(name, refused.message[0].upper() + refused.message[1:] + ".")
        self.instance.mapping = found


class KeyForm(forms.Form):
    """How long the older keys go on working."""

    overlap_days = forms.IntegerField(min_value=0, max_value=90, required=False)


class TryForm(forms.Form):
    """A body as the sender would post it."""

    sample = forms.CharField(
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "class": "vLargeTextField code"}),
        help_text="JSON, as the sender posts it.",
    )

    def clean_sample(self) -> Any:
        """The decoded document."""
        try:
            return jsontext.decode(self.cleaned_data["sample"])
        except Refused as refused:
            raise forms.ValidationError(refused.message) from refused
