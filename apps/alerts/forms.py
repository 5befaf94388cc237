"""Forms of rules, channels and contact methods: what they refuse, and secrets that go in and never come out."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from apps.alerts import channels, measures, rules
from apps.alerts.models import AlertRule, Channel, ContactMethod, EscalationStep
from apps.core import outbound


class RuleForm(forms.ModelForm):
    """Refuses a condition that cannot be read or can never fire."""

    class Meta:
        model = AlertRule
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "condition" in self.fields:
            known = ", ".join(f"{name} ({m.label.lower()})" for name, m in measures.registry.items())
            self.fields["condition"].help_text = f"A measure, an operator and a number. Measures: {known}."

    def clean(self) -> dict[str, Any]:
        """The condition together with the threshold."""
        cleaned = super().clean() or {}
        threshold = cleaned.get("threshold")
        if cleaned.get("condition"):
            number = float(threshold) if threshold is not None else None
            try:
                rules.parse(cleaned["condition"], threshold=number, bounds=measures.bounds())
            except rules.RuleRefused as refusal:
                self.add_error(refusal.field, str(refusal))
        component, project = cleaned.get("component"), cleaned.get("project")
        if component and project and component.project_id != project.pk:
            self.add_error("component", f"{component} belongs to another project than {project}.")
        if component and cleaned.get("component_name"):
            self.add_error("component_name", "Give the component or its name, not both.")
        return cleaned


def check_address(kind: str, address: str, *, required: bool) -> None:
    """An address must fit its kind; ValidationError says what is wrong."""
    if not address:
        if required:
            raise ValidationError("Give an address.")
        return
    if kind == "email":
        validate_email(address)
        return
    check_url(address)


def check_url(address: str) -> None:
    """The guard's own reading of an address, before anybody depends on it."""
    try:
        outbound.checked_url(address)
    except outbound.OutboundRefused as refusal:
        raise ValidationError(str(refusal)) from refusal


class ChannelForm(forms.ModelForm):
    """The secret is set or replaced here and shown nowhere."""

    new_secret = forms.CharField(
        required=False, max_length=1000, strip=True, label="Secret: set or replace",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Slack: the webhook's address. Signed webhook: the signing secret. Empty: unchanged.",
    )  # fmt: skip

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "enabled")

    def clean(self) -> dict[str, Any]:
        """Address and secret by kind."""
        cleaned = super().clean() or {}
        kind, secret = cleaned.get("kind", ""), cleaned.get("new_secret", "")
        sender = channels.registry.get(kind)
        if sender is None:
            return cleaned
        self._refuse(
            "address", check_address, kind, cleaned.get("address", ""), required=bool(sender.address_is)
        )
        if kind == "slack":
            if secret:
                self._refuse("new_secret", check_url, secret)
            if cleaned.get("address"):
                self.add_error(
                    "address", "The address of a Slack webhook is a secret: put it into the secret field."
                )
        return cleaned

    def _refuse(self, field: str, check: Any, *args: Any, **kwargs: Any) -> None:
        try:
            check(*args, **kwargs)
        except ValidationError as refusal:
            self.add_error(field, refusal)


class ContactMethodForm(forms.ModelForm):
    """Only kinds that can reach a person."""

    class Meta:
        model = ContactMethod
        fields = ("user", "kind", "address", "order", "enabled")

    def clean(self) -> dict[str, Any]:
        """The address by kind."""
        cleaned = super().clean() or {}
        sender = channels.registry.get(cleaned.get("kind", ""))
        if sender is not None and not sender.personal:
            self.add_error("kind", f"{sender.label} reaches a place, not a person: make a channel of it.")
        elif cleaned.get("address"):
            try:
                check_address(cleaned["kind"], cleaned["address"], required=True)
            except ValidationError as refusal:
                self.add_error("address", refusal)
        return cleaned


class StepForm(forms.ModelForm):
    """A step names whom its kind asks for."""

    class Meta:
        model = EscalationStep
        fields = ("order", "wait_before_s", "kind", "users", "team", "schedule", "channel")

    def clean(self) -> dict[str, Any]:
        """People, a team, a schedule or a channel."""
        cleaned = super().clean() or {}
        fields = {"people": "users", "schedule_next": "schedule"}
        kind = cleaned.get("kind", "")
        wanted = fields.get(kind, kind)
        if wanted and not cleaned.get(wanted):
            self.add_error(wanted, "This step would page nobody: name somebody, or choose another kind.")
        return cleaned
